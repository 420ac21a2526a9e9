"""The single file, as it lies in bin/: what it says of itself, what lies beside it, what it ignores."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.building.lock import read_lock
from deploy.building.paths import LOCK
from deploy.building.proof import lay_traps
from deploy.building.stamp import stamp_of_sources
from entrypoints.version import VERSION

pytestmark = pytest.mark.xdist_group("single-file")

HELLO = f"instadeploy-agent {VERSION}\n"


def _run(
    agent: Path, *arguments: str, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [agent, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def _bill(agent_file: Path) -> dict[str, Any]:
    bill = json.loads(agent_file.with_name(f"{agent_file.name}.cdx.json").read_text("utf-8"))
    assert isinstance(bill, dict)
    return bill


def test_it_says_what_it_is_made_of(agent_file: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = _run(agent_file, "--version", "--verbose", cwd=tmp_path, env=environment)
    lines = ran.stdout.splitlines()
    stamp = stamp_of_sources()
    assert lines[0] == HELLO.rstrip()
    assert lines[1].startswith(f"commit: {stamp.commit or 'unknown'}")
    assert lines[1].endswith(", with changes that are not committed") == stamp.is_dirty
    assert [line.partition(":")[0] for line in lines[1:6]] == [
        "commit",
        "python",
        "platform",
        "openssl",
        "dependencies",
    ]
    assert lines[6:] == [f"  {pin.name}=={pin.version}" for pin in read_lock(LOCK)]


def test_nothing_foreign_is_imported_when_it_is_run(agent_file: Path, tmp_path: Path) -> None:
    """The first start unpacks it, and the second is another path through its beginning."""
    environment = lay_traps(tmp_path)
    for _ in range(2):
        ran = _run(agent_file, "--version", cwd=tmp_path, env=environment)
        assert (ran.stdout, ran.stderr) == (HELLO, "")


def test_a_trap_closes_where_python_is_not_isolated(tmp_path: Path) -> None:
    environment = lay_traps(tmp_path)
    ran = _run(Path("python3"), "-c", "", cwd=tmp_path, env=environment)
    assert (ran.returncode, ran.stdout.split()[:2]) == (99, ["foreign", "sitecustomize"])


def test_the_sums_are_those_of_what_lies_there(agent_file: Path) -> None:
    sums = agent_file.with_name("SHA256SUMS")
    named = {line.split()[1] for line in sums.read_text(encoding="ascii").splitlines()}
    assert named == {agent_file.name, f"{agent_file.name}.cdx.json"}
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(command, cwd=agent_file.parent, check=True, capture_output=True)


def test_the_bill_of_materials_keeps_to_its_schema(agent_file: Path) -> None:
    text = agent_file.with_name(f"{agent_file.name}.cdx.json").read_text(encoding="utf-8")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"libary"')) is not None


def test_the_bill_of_materials_names_all_that_is_locked(agent_file: Path) -> None:
    bill = _bill(agent_file)
    components = {one["name"]: one for one in bill["components"]}
    pins = {pin.name: pin for pin in read_lock(LOCK)}
    assert components.keys() == pins.keys() | {"pex"}
    for name, pin in pins.items():
        component = components[name]
        assert component["version"] == pin.version
        assert component["purl"] == f"pkg:pypi/{name}@{pin.version}"
        hashes = {one["content"] for one in component["hashes"]}
        assert hashes
        assert hashes <= pin.hashes
        assert component["licenses"]


def test_the_bill_of_materials_is_that_of_the_file(agent_file: Path) -> None:
    bill = _bill(agent_file)
    agent = bill["metadata"]["component"]
    digest = hashlib.sha256(agent_file.read_bytes()).hexdigest()
    assert agent["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert agent["version"] == VERSION
    assert "serialNumber" not in bill
    assert "timestamp" not in bill["metadata"]
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert any(one.startswith("pkg:pypi/pydantic@") for one in needs[agent["bom-ref"]])
    (pydantic,) = (needs[ref] for ref in needs if ref.startswith("pkg:pypi/pydantic@"))
    assert any(one.startswith("pkg:pypi/pydantic-core@") for one in pydantic)
