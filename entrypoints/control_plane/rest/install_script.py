"""/install.sh: what makes a machine a host. A shell script with what is of this control plane filled in.

Each value is quoted for the shell, whatever it is: the name under which a request has come is chosen by
whoever sends it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import Request

from domain.identity import fingerprint_of
from entrypoints.control_plane.agent_file import AgentDigest
from entrypoints.control_plane.rest.problems import Problem

TEMPLATE: Final = files(__package__).joinpath("install.sh").read_text(encoding="utf-8")
INSTALL_PATH: Final = "/install.sh"
AGENT_PATH: Final = "/agent"

_PLACE: Final = re.compile(r"@([A-Z][A-Z0-9_]+)@")
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """What a script is rendered with. `base` is the control plane's URL, without a path.

    `now` is in seconds since 1970: the machine compares its clock with it.
    """

    base: str
    control_plane_key: str
    agent: AgentDigest
    now: float
    ca_pem: str = ""


def rendered(facts: ScriptFacts) -> str:
    """The script."""
    values = {
        "SERVER_URL": agents_url_of(facts.base),
        "AGENT_URL": facts.base + AGENT_PATH,
        "AGENT_SHA256": facts.agent.sha256,
        "AGENT_SIZE": str(facts.agent.size),
        "CONTROL_PLANE_KEY": fingerprint_of(facts.control_plane_key),
        "CA_PEM": facts.ca_pem.strip(),
        "RENDERED_AT": str(round(facts.now)),
    }
    # In one pass: what is filled in is not looked at again.
    return _PLACE.sub(lambda found: shlex.quote(values[found[1]]), TEMPLATE)


def base_url(request: Request, public_url: str) -> str:
    """Where we are found: as it is set, or by the name under which this request has come.

    Raises `Problem` where that is no name: it goes into what others paste into their shells.
    """
    if public_url:
        return public_url.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Problem(
            400, "malformed", "the header Host must be a name or an address, with a port or without"
        )
    return f"{request.url.scheme}://{host}"


def agents_url_of(base: str) -> str:
    """Where agents connect."""
    return "ws" + base.removeprefix("http") + "/ws"
