"""What lies where on a host, and how its unit is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.link_status import LinkStatus

USER: Final = "instadeploy"
ENGINE_GROUP: Final = "docker"
UNIT: Final = "instadeploy-agent.service"
MARK: Final = "X-InstaDeploy-Installed"
"""A key of the unit files that `install` writes: systemd ignores what begins with X-."""
ENROLL_TOKEN: Final = "enroll_token"  # noqa: S105 - a file's name
SECRET_TOKEN: Final = "secret_token"  # noqa: S105

USUAL_ENGINE: Final = "unix:///var/run/docker.sock"
MANY_RESTARTS: Final = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Absolute paths of all that an installation has; `root` stands before each, for tests."""

    root: str = ""

    @property
    def programs(self) -> str:
        """Of root: builds of the agent, and which one is in use."""
        return f"{self.root}/opt/instadeploy"

    @property
    def releases(self) -> str:
        """A directory for each build."""
        return f"{self.programs}/releases"

    @property
    def current(self) -> str:
        """A link to the build in use."""
        return f"{self.programs}/current"

    @property
    def command(self) -> str:
        """What people type."""
        return f"{self.root}/usr/local/bin/instadeploy-agent"

    @property
    def settings(self) -> str:
        """Of root, and readable by all: settings, but no secrets."""
        return f"{self.root}/etc/instadeploy"

    @property
    def settings_file(self) -> str:
        """Variables, for the unit."""
        return f"{self.settings}/agent.env"

    @property
    def ca_file(self) -> str:
        """Certificates to trust beside the system's."""
        return f"{self.settings}/ca.pem"

    @property
    def credentials(self) -> str:
        """Of root alone: each file is a credential that systemd hands to the unit."""
        return f"{self.settings}/credentials"

    @property
    def state(self) -> str:
        """Of the agent's user alone."""
        return f"{self.root}/var/lib/instadeploy"

    @property
    def platform(self) -> str:
        """Where projects, and whatever else belongs to the host's workload, are."""
        return f"{self.root}/opt/platform"

    @property
    def projects(self) -> str:
        """A directory for each project."""
        return f"{self.platform}/projects"

    @property
    def locks(self) -> str:
        """Where projects are locked; made at each boot."""
        return f"{self.root}/run/lock/instadeploy"

    @property
    def commands(self) -> str:
        """Where the command is."""
        return self.command.rpartition("/")[0]

    @property
    def unit(self) -> str:
        """The unit file."""
        return f"{self.root}/etc/systemd/system/{UNIT}"

    @property
    def tmpfiles(self) -> str:
        """Says that the directory of locks is made at each boot."""
        return f"{self.root}/etc/tmpfiles.d/instadeploy.conf"


class UnitActivity(StrEnum):
    """systemd's own words."""

    ACTIVE = "active"
    ACTIVATING = "activating"
    RELOADING = "reloading"
    INACTIVE = "inactive"
    DEACTIVATING = "deactivating"
    FAILED = "failed"
    OTHER = "other"
    """Whatever a newer systemd may say."""

    @classmethod
    def _missing_(cls, value: object) -> UnitActivity:  # noqa: ARG003 - the enum's
        return cls.OTHER


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit as systemd has it. `exit_status` is that of the last run of its main process."""

    activity: UnitActivity
    is_enabled: bool = False
    main_pid: int = 0
    status_text: str = ""
    exit_status: int = 0
    restarts: int = 0
    since: str = ""
    is_masked: bool = False

    @property
    def is_to_run(self) -> bool:
        """Whether systemd means to have it running, also where it fails again and again."""
        over = (UnitActivity.INACTIVE, UnitActivity.FAILED, UnitActivity.DEACTIVATING)
        return self.activity not in over

    @property
    def is_failing(self) -> bool:
        """Whether it has ended for good, or again and again."""
        is_given_up = self.activity in (UnitActivity.FAILED, UnitActivity.INACTIVE)
        return is_given_up or (self.main_pid == 0 and self.restarts >= MANY_RESTARTS)

    @property
    def link(self) -> LinkStatus | None:
        """How the agent's link stands, where the agent says so."""
        return LinkStatus.of(self.status_text)


def environment_in(text: str) -> dict[str, str]:
    """The variables that a unit file, or a drop-in, gives its program by Environment=."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name != "Environment":
            continue
        if not value:
            found.clear()  # systemd.exec(5): an empty one takes back all before it.
        try:
            assignments = shlex.split(value)
        except ValueError:
            continue  # systemd leaves such a line out, too.
        found |= dict(one.split("=", 1) for one in assignments if "=" in one)
    return found
