"""/install.sh as it is rendered: true, quoted whatever is in it, and nothing before its last line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrypoints.control_plane.agent_file import AgentDigest
from entrypoints.control_plane.rest.install_script import TEMPLATE, ScriptFacts, rendered
from tests.support.control_plane_parts import KEY, ControlPlane
from tests.unit.api import problem_in, serving

DIGEST = AgentDigest("ab" * 32, 7)
NOW = 1_800_000_000.4
LAST = '{ main "$@"; }\n'
TOLD = (
    "server_url", "agent_url", "agent_sha256", "agent_size", "control_plane_key", "ca_pem",
    "rendered_at",
)  # fmt: skip

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=60)


def configured(script: str, home: Path | None = None) -> list[str]:
    """What the script's variables are once a shell has read it."""
    assert script.endswith(LAST)
    names = " ".join(f'"${name}"' for name in TOLD)
    asking = script.removesuffix(LAST) + f"configure\nprintf '%s\\0' {names}\n"
    ran = subprocess.run(
        ["sh", "-s"], input=asking.encode(), capture_output=True, check=True, cwd=home
    )
    assert ran.stderr == b""
    return [one.decode() for one in ran.stdout.split(b"\0")[:-1]]


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
@example("https://x'; touch pwned; '", "$(touch pwned)")
@example("https://@AGENT_URL@", "@SERVER_URL@ `touch pwned`")
def test_whatever_is_filled_in_stays_a_value(base: str, certificates: str) -> None:
    script = rendered(ScriptFacts(base, KEY, DIGEST, NOW, certificates))
    server_url, agent_url, sha256, size, key, ca_pem, at = configured(script)
    assert server_url == "ws" + base.removeprefix("http") + "/ws"
    assert agent_url == base + "/agent"
    assert (sha256, size) == (DIGEST.sha256, "7")
    assert key.startswith("sha256:")
    assert ca_pem == certificates.strip()
    assert at == "1800000000"


def test_the_template_has_a_place_for_each_value_and_no_other() -> None:
    assert len(re.findall(r"@[A-Z_0-9]+@", TEMPLATE)) == len(TOLD)
    assert not re.search(r"@[A-Z_0-9]+@", rendered(ScriptFacts("https://cp", KEY, DIGEST, NOW)))


def test_a_script_that_was_cut_does_nothing() -> None:
    script = rendered(ScriptFacts("https://cp.example", KEY, DIGEST, NOW))
    whole = subprocess.run(["sh"], check=False, input=script, capture_output=True, text=True)
    assert "install.sh: " in whole.stderr
    near_the_end = range(len(script) - len(LAST) - 2, len(script) - 2)
    for length in [*range(0, len(script) - 100, 331), *near_the_end]:
        ran = subprocess.run(
            ["sh"], check=False, input=script[:length], capture_output=True, text=True
        )
        assert (ran.stdout, "install.sh: " in ran.stderr) == ("", False), script[:length][-40:]


HOSTILE = [
    "cp.example'; touch pwned; '",
    "cp.example$(touch pwned)",
    "cp.example`touch pwned`",
    "cp.example\\",
    'cp.example"',
    "cp.example/path",
    "cp.example?x",
    "cp.example#x",
    "user@cp.example",
    "cp.example:80:80",
    "cp.example:123456",
    "[::1",
    "-o/etc/passwd",
    "c\xe9",
    "",
]


@pytest.mark.parametrize("host", HOSTILE)
async def test_a_name_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    async with serving(with_agent(tmp_path)) as api:
        headers = {b"Host": host.encode("latin-1")}
        response = await api.client.get("/install.sh", headers=headers)
        problem_in(response, 400, "malformed")
        head = await api.client.head("/install.sh", headers=headers)
        assert head.status_code == 400
        made = await api.client.post("/api/v1/enrolments", json={"name": "n"}, headers=headers)
        problem_in(made, 400, "malformed")
        assert api.plane.fleet.state.enrolments == {}


@pytest.mark.parametrize("host", ["cp.example", "cp_1:8443", "127.0.0.1:80", "[::1]:8080", "a-b.c"])
async def test_agents_are_sent_where_the_request_has_come(tmp_path: Path, host: str) -> None:
    async with serving(with_agent(tmp_path)) as api:
        response = await api.client.get("/install.sh", headers={"Host": host})
        assert configured(response.text)[:2] == [f"ws://{host}/ws", f"http://{host}/agent"]


async def test_a_public_url_outranks_the_name_of_the_request(tmp_path: Path) -> None:
    plane = with_agent(tmp_path)
    plane.public_url, plane.ca_pem = "https://fleet.example", "one\ntwo\n"
    async with serving(plane) as api:
        response = await api.client.get("/install.sh", headers={"Host": "'evil"})
        assert response.headers["content-type"].startswith("text/x-shellscript")
        assert response.headers["cache-control"] == "no-store"
        told = configured(response.text)
        assert told[:2] == ["wss://fleet.example/ws", "https://fleet.example/agent"]
        assert told[-2] == "one\ntwo"
        assert "evil" not in response.text


def with_agent(home: Path) -> ControlPlane:
    (home / "agent").write_bytes(b"an agent")
    return ControlPlane(agent_path=home / "agent")
