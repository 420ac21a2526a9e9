"""Where `doctor` and `status` look: the settings and the variables of the agent of this machine.

That is the installed unit's, where there is one; and else what an agent would have that was started here.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.environment_file import variables_of
from domain.installation import MARK, USER, Layout, environment_in
from entrypoints.agent.settings import CONFIGURATION, AgentSettings, unknown_variables

UNITS_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""systemd.exec(5): what a unit's program has where nothing else is said."""
OWN_SETTINGS: Final = ("SERVER_URL", "AGENT_STATE_DIR", "AGENT_ENV_FILE")
"""Whoever sets one of these means an agent of their own."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The agent that is looked at. `problems` and `slips` are sentences that quote no value."""

    settings: AgentSettings
    source: str
    user: str
    is_installed: bool
    problems: tuple[str, ...] = ()
    slips: tuple[str, ...] = ()


@contextlib.contextmanager
def surroundings(layout: Layout) -> Iterator[Surroundings]:
    """While the context lasts, this process has the variables and the directory of the agent.

    Raises `SettingsError` where there are no settings at all.
    """
    unit = _text(layout.unit)
    if MARK not in unit or any(name in os.environ for name in OWN_SETTINGS):
        user = pwd.getpwuid(os.geteuid()).pw_name
        yield _read("the environment", user, is_installed=False)
        return
    for drop_in in sorted(Path(f"{layout.unit}.d").glob("*.conf")):
        unit += "\n" + _text(str(drop_in))
    variables = {
        "PATH": UNITS_PATH,
        **environment_in(unit),
        **variables_of(_text(layout.settings_file)),
    }
    for path in _more_files(unit, layout):
        variables |= variables_of(_text(path))
    with _variables(variables), contextlib.chdir("/"):
        yield _read(layout.settings_file, USER, is_installed=True)


def _more_files(unit: str, layout: Layout) -> Sequence[str]:
    """What the unit's drop-ins name by EnvironmentFile= beside the settings, such as a proxy's password."""
    found: list[str] = []
    for line in unit.splitlines():
        name, _, value = line.strip().partition("=")
        if name == "EnvironmentFile":
            # systemd.exec(5): an empty one takes back all before it; with - it may be missing.
            path = value.strip().removeprefix("-")
            found = [*found, f"{layout.root}{path}"] if path else []
    return [path for path in found if path != layout.settings_file]


def _read(source: str, user: str, *, is_installed: bool) -> Surroundings:
    settings, problems, wrong = CONFIGURATION.load()
    if (
        settings.transport == "websocket"
        and settings.server_url is None
        and "SERVER_URL" not in wrong
    ):
        problems.append("SERVER_URL: is missing; it is where the agent connects")
    slips = tuple(unknown_variables())
    return Surroundings(settings, source, user, is_installed, tuple(problems), slips)


@contextlib.contextmanager
def _variables(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(wanted)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
