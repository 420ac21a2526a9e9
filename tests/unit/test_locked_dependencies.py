"""The lock files hold what the project asks for, and nothing about where they were made."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("agent", "cli", "control-plane", "debug-http", "dev", "packaging")
OUR_PACKAGES = {"domain", "application", "adapters", "entrypoints"}

_LINE = re.compile(
    r"#.*|[a-z0-9.-]+==\S+( ; [a-z_0-9.'<>=! ()A-Z]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
)


def _lines(lock: str) -> list[str]:
    path = ROOT / "requirements" / f"{lock}.lock"
    return path.read_text(encoding="utf-8").splitlines()


def _pins(lock: str) -> dict[str, Requirement]:
    pins = [Requirement(line.removesuffix(" \\")) for line in _lines(lock) if line[0].isalnum()]
    return {canonicalize_name(pin.name): pin for pin in pins}


def _asked_for(lock: str) -> list[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, groups = document["project"], document["dependency-groups"]
    extras = project["optional-dependencies"]
    asked = {
        "agent": project["dependencies"],
        "cli": [*project["dependencies"], *extras["cli"]],
        "control-plane": [*project["dependencies"], *extras["control-plane"]],
        "debug-http": [*project["dependencies"], *extras["debug-http"]],
        "dev": [
            *project["dependencies"],
            *extras["cli"],
            *extras["control-plane"],
            *extras["debug-http"],
            *groups["dev"],
        ],
        "packaging": groups["packaging"],
    }
    return [Requirement(text) for text in asked[lock]]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_everything_that_the_project_asks_for(lock: str) -> None:
    pins = _pins(lock)
    for asked in _asked_for(lock):
        (pinned,) = pins[canonicalize_name(asked.name)].specifier
        assert pinned.version in asked.specifier


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_pins_and_hashes_and_no_address_or_path(lock: str) -> None:
    assert [line for line in _lines(lock) if not _LINE.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    lines = _lines(lock)
    followed = [after for line, after in pairwise(lines) if line[0].isalnum()]
    assert len(followed) == len(_pins(lock))
    assert all(after.startswith("    --hash=") for after in followed)


def test_the_lock_files_agree_on_versions() -> None:
    every = [(name, str(pin.specifier)) for lock in LOCKS for name, pin in _pins(lock).items()]
    assert len(set(every)) == len({name for name, _ in every})


def test_a_production_agent_does_not_carry_the_debug_transport() -> None:
    assert "aiohttp" in _pins("debug-http")
    assert "aiohttp" not in _pins("agent")


def test_an_agent_carries_nothing_that_the_control_plane_alone_needs() -> None:
    dependencies = {canonicalize_name(one.name) for one in _asked_for("agent")}
    extra = {canonicalize_name(one.name) for one in _asked_for("control-plane")} - dependencies
    assert len(extra) > 3
    assert extra <= _pins("control-plane").keys()
    assert extra.isdisjoint(_pins("agent"))
    assert extra.isdisjoint(_pins("debug-http"))


def test_this_environment_holds_what_is_locked() -> None:
    """`make venv` brings it up to date; the next test looks only at what is installed."""
    wanted = {
        name: str(pin.specifier).removeprefix("==")
        for name, pin in _pins("dev").items()
        if pin.marker is None or pin.marker.evaluate()
    }
    assert {name: metadata.version(name) for name in wanted} == wanted


def test_no_locked_dependency_ships_a_package_called_like_one_of_ours() -> None:
    foreign = {
        (distribution, package)
        for package, distributions in metadata.packages_distributions().items()
        for distribution in distributions
        if package in OUR_PACKAGES and distribution != "instadeploy"
    }
    assert foreign == set()


@pytest.mark.parametrize("name", _pins("agent"))
def test_what_an_agent_is_locked_to_brings_none_of_our_packages(name: str) -> None:
    """By the list of files that each was installed with; the build looks at the wheels themselves."""
    files = metadata.distribution(name).files
    assert files
    tops = {path.parts[0].partition(".")[0] for path in files}
    assert tops.isdisjoint(OUR_PACKAGES)
