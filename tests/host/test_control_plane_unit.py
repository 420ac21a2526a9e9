"""The control plane as a service, on a machine that boots: hardened, as a user that systemd makes up."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest

from deploy.building.lock import read_lock
from tests.host.machine import BARE, TestHost

pytestmark = [pytest.mark.xdist_group("test-host"), pytest.mark.thorough]

ROOT = Path(__file__).parents[2]
UNIT = "instadeploy-control-plane.service"
HOME = "/opt/instadeploy-control-plane"
STATE = "/var/lib/instadeploy-control-plane"
PACKAGES = ("domain", "application", "adapters", "entrypoints")
_ASK = """
import json, sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080" + sys.argv[1])
if sys.argv[2:]:
    request.add_header("Authorization", "Bearer " + sys.argv[2])
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def installed() -> Iterator[tuple[Path, PurePosixPath]]:
    """All files of the control plane's installation, and where they belong in its site-packages."""
    for pin in read_lock(ROOT / "requirements" / "control-plane.lock"):
        for file in distribution(pin.name).files or ():
            if not file.is_absolute() and ".." not in file.parts and file.suffix != ".pyc":
                yield Path(str(file.locate())), PurePosixPath(file)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield path, PurePosixPath(path.relative_to(ROOT))


def packed(directory: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for source, target in installed():
            archive.add(source.resolve(), arcname=f"{directory}/{target}")
    return held.getvalue()


@pytest.fixture
async def machine() -> AsyncIterator[TestHost]:
    async with TestHost(BARE) as one:
        await one.run("python3", "-m", "venv", "--without-pip", HOME)
        found = await one.run("sh", "-c", f"echo {HOME}/lib/python3*/site-packages")
        await one.run(
            *("tar", "--extract", "--no-same-owner", "--directory", "/"),
            given=packed(found.text.lstrip("/")),
            patience_s=120,
        )
        await one.copy_in(ROOT / "deploy" / UNIT, f"/etc/systemd/system/{UNIT}")
        yield one


async def test_it_serves_is_restarted_and_hands_out_an_administrator_s_token(
    machine: TestHost,
) -> None:
    await machine.run("systemctl", "daemon-reload")
    await machine.run("systemctl", "enable", "--now", UNIT)
    await machine.hear(UNIT, "serves at http://127.0.0.1:8080")

    async def ask(path: str, *token: str) -> str:
        return (await machine.run("python3", "-c", _ASK, path, *token)).text

    await ask("/healthz")
    # Nobody who reads the journal sets it up.
    assert not [
        line for line in await machine.journal(UNIT) if re.search(r"ids_\w", str(line["MESSAGE"]))
    ]
    made = await machine.run(
        *("env", f"CONTROL_PLANE_STATE_DIR={STATE}"),
        *(f"{HOME}/bin/python", "-I", "-m", "entrypoints.control_plane", "reset-token"),
    )
    token = re.search(r"ida_[\w-]+", made.text)
    assert token, made
    await machine.hear(UNIT, "token was replaced")
    assert '"administrator"' in await ask("/api/v1/me", token[0])

    entry = (await machine.journal(UNIT))[-1]
    assert entry["SYSLOG_IDENTIFIER"] == "instadeploy-control-plane"
    assert entry["PRIORITY"] in "3456"
    await machine.run("systemd-analyze", "security", "--threshold=30", UNIT)

    shown = await machine.run("systemctl", "show", "--property=MainPID", "--value", UNIT)
    await machine.run("kill", "-KILL", shown.text)
    await machine.reboot()
    await machine.hear(UNIT, "serves at http://127.0.0.1:8080")
    assert '"administrator"' in await ask("/api/v1/me", token[0])
