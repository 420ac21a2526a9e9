"""What real Compose makes of equivalent files, and that the policy says one thing of them all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from domain.compose_model import ComposeModel
from domain.policy import STANDARD, STRICT, Violation, judge
from domain.project import ProjectName

PLAIN = "services: {web: {image: docker.io/library/nginx:1, "
BASE = "services: {base: {image: docker.io/library/nginx:1, %s}}"
DISGUISED = "volumes: ['data:/mnt']}}\nvolumes: {data: {driver_opts: {%s}}}#"
"""What ends in a comment closes the service itself, and goes on at the top."""
GROUPS: dict[str, tuple[set[str], list[str]]] = {
    "privileged": (
        {"containers.privileged"},
        [
            "privileged: true",
            "<<: {privileged: true}",
            "<<: [{}, {privileged: true}]",
            "extends: {file: base.yml, service: base}",
            "extends: base",
        ],
    ),
    "network": (
        {"containers.host_network"},
        [
            "network_mode: host",
            '"network_mode": "ho\\x73t"',
            "network_mode: '${MODE:-host}'",
            "networks: [out]}}\nnetworks: {out: {external: true, name: host}}#",
            "networks: {out: }}}\nnetworks: {out: {name: '${N:-host}', external: true}}#",
        ],
    ),
    "capability": (
        {"containers.cap_add"},
        [
            "cap_add: [SYS_ADMIN]",
            "cap_add: [cap_sys_admin]",
            "cap_add: [CHOWN, CAP_SYS_ADMIN]",
            "<<: {cap_add: [ALL]}",
            "extends: {file: base.yml, service: base}",
        ],
    ),
    "bind": (
        {"binds.roots"},
        [
            "volumes: ['/etc:/mnt']",
            "volumes: ['/etc/:/mnt:ro']",
            "volumes: ['../../../../../../../../etc:/mnt']",
            "volumes: [{type: bind, source: /srv/../etc, target: /mnt}]",
            DISGUISED % "type: none, o: bind, device: /etc",
            DISGUISED % "type: tmpfs, o: 'rw,bind', device: etc",
            "secrets: [s]}}\nsecrets: {s: {file: /etc/shadow}}#",
            "configs: [{source: c, target: /x}]}}\nconfigs: {c: {file: ../../x}}#",
            "extends: {file: base.yml, service: base}",
        ],
    ),
    "socket": (
        {"containers.engine_socket"},
        [
            "volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']",
            "volumes: ['/run/docker.sock:/s']",
            "volumes: ['//run/./docker.sock:/s']",
            "volumes: [{type: bind, source: /var/run/../run/docker.sock, target: /s}]",
            DISGUISED % "type: none, o: bind, device: /var/run/docker.sock",
            "volumes: ['${SOCK:-/run/docker.sock}:/s']",
        ],
    ),
    "device": (
        {"containers.devices"},
        ["devices: [/dev/sda]", "devices: ['/dev/sda:/dev/x:r']", "devices: [/dev/../dev/sda]"],
    ),
    "security": (
        {"containers.security_opt"},
        ["security_opt: ['seccomp:unconfined']", "security_opt: ['seccomp=unconfined']"],
    ),
    "gpu": (
        {"containers.gpus"},
        ["deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}"],
    ),
    "sysctl": (
        {"containers.sysctls"},
        ["sysctls: ['vm.swappiness=1']", "sysctls: {vm.swappiness: 1}"],
    ),
    "other": (
        {"containers.other_containers"},
        ["pid: 'container:x'", "ipc: 'container:x'", "volumes_from: ['container:x:ro']"],
    ),
    "nothing": (
        set(),
        [
            "ports: ['8080:80']",
            "ports: [{target: 80, published: '8080'}]",
            "volumes: ['./data:/data', 'data:/more']}}\nvolumes: {data: {}}#",
            "cap_add: [net_bind_service], security_opt: ['no-new-privileges:true']",
            "secrets: [s]}}\nsecrets: {s: {file: ./s.txt}}#",
        ],
    ),
}
EXTENDED = {
    "privileged": "privileged: true",
    "capability": "cap_add: [SYS_ADMIN]",
    "bind": "volumes: ['/etc:/mnt']",
}
CASES = [
    pytest.param(group, text, broken, id=f"{group}-{number}")
    for group, (broken, texts) in GROUPS.items()
    for number, text in enumerate(texts)
]


@pytest.mark.parametrize(("group", "text", "broken"), CASES)
def test_what_compose_resolves_meets_one_verdict(
    tmp_path: Path, group: str, text: str, broken: set[str]
) -> None:
    base = BASE % EXTENDED.get(group, "init: true")
    (tmp_path / "base.yml").write_text(base)
    body = f"{PLAIN}{text}"
    body += "\n" if text.endswith("#") else "}}\n"
    if "extends: base" in text:
        body = body.replace("services: {", base.removesuffix("}") + ", ", 1)  # In the same file.
    found = _judged(tmp_path, body)
    assert found == broken


def test_published_ports_meet_one_verdict_in_both_forms(tmp_path: Path) -> None:
    texts = [
        "ports: ['22:80']",
        "ports: ['0.0.0.0:22:80/tcp']",
        "ports: [{target: 80, published: 22}]",
        "ports: [{target: 80, published: '22-22', host_ip: '::'}]",
        "ports: ['21-22:80-81']",
        "network_mode: host",
    ]
    for text in texts:
        found = _resolved(tmp_path, f"{PLAIN}{text}}}}}\n")
        rules = {one.rule for one in _violations(found, tmp_path, strict=True)}
        assert "ports.published" in rules, text


def _judged(directory: Path, text: str) -> set[str]:
    return {one.rule for one in _violations(_resolved(directory, text), directory)}


def _violations(
    model: ComposeModel, directory: Path, *, strict: bool = False
) -> tuple[Violation, ...]:
    policy = STRICT if strict else STANDARD
    return judge(
        model, policy, project=ProjectName("policy-test"), project_directory=str(directory)
    )


def _resolved(directory: Path, text: str) -> ComposeModel:
    file = directory / "docker-compose.yml"
    file.write_text(text)
    command = ["docker", "compose", "-p", "policy-test", "--project-directory", str(directory)]
    run = subprocess.run(
        [*command, "-f", str(file), "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{run.stderr}\n{text}"
    return ComposeModel.from_document(json.loads(run.stdout))
