"""The way to the control plane: name, connection, encryption, answer, clock, and what cuts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from application.ports.aside import Aside
from application.ports.clock import Clock
from application.ports.control_plane_way import WEBSOCKET, Answer, ControlPlaneWay, IdleEnd
from application.ports.unit_log import UnitLog
from domain.errors import RuntimeUnavailable
from domain.idle_links import lives_of_links, regular_ends, tells_of_links
from domain.inspection import Finding, failure, unknown, warning, well
from domain.installation import UNIT

UNREACHED: Final = "without it, this host gets no commands, and its results wait"
EXPIRES_SOON_S: Final = 14 * 86_400.0
SKEW_WARNING_S: Final = 300.0
SKEW_FAILURE_S: Final = 86_400.0
LINES: Final = 2000
ENOUGH: Final = 1.5
"""So many times the agent's pause between two pings is a time-out that does it no harm."""
_EXPECTED: Final = {
    101: "as one that hosts prove themselves to by a key",
    401: "as expected without a token",
    426: "as expected without a version of the protocol",
}
_GOING: Final = {
    429: "it asks to be left alone for a while",
    502: "what stands before the control plane does not reach it",
    503: "it is not ready, or goes away",
    504: "what stands before the control plane gets no answer from it",
}
_CHECK_URL: Final = "check the path in SERVER_URL, and that what answers there is a control plane"
_MOVED: Final = "set SERVER_URL to where the control plane is now: redirects are not followed"
_SET_CLOCK: Final = "timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Which proxy the environment names, if any."""

    way: ControlPlaneWay

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        found = self.way.way()
        if found.proxy:
            return [well(f"{found.address} is reached through the proxy {found.proxy}")]
        return [well(f"none; {found.address} is dialled directly")]


@dataclass(frozen=True, slots=True)
class Names:
    """Whether the name of what is dialled is known."""

    way: ControlPlaneWay

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        way = self.way.way()
        name = f"the proxy {way.proxy}" if way.proxy else way.host
        return [well(f"{name} has the address {', '.join(await self.way.resolve())}")]


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether a connection can be made."""

    way: ControlPlaneWay

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        await self.way.connect()
        way = self.way.way()
        return [well(f"{way.host}, port {way.port}, takes connections")]


@dataclass(frozen=True, slots=True)
class Encryption:
    """Whether the control plane's certificate is trusted, as the agent trusts, and for how long."""

    way: ControlPlaneWay
    clock: Clock

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        if not self.way.way().is_encrypted:
            why = "whoever is on the way reads all that is deployed, and a token where there is one"
            return [warning("SERVER_URL is ws://: there is none", why, "use wss:// in SERVER_URL")]
        found = await self.way.secure()
        until = datetime.fromtimestamp(found.expires_at, UTC).strftime("%Y-%m-%d")
        text = f"{found.tls}, certificate of {found.subject} by {found.issuer}, good until {until}"
        if found.expires_at - self.clock.now().timestamp() < EXPIRES_SOON_S:
            why = "no host can connect once it is over"
            return [warning(text, why, "renew the certificate of the control plane")]
        return [well(text)]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Whether it is a control plane that answers."""

    way: ControlPlaneWay

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        return [finding_of(await self.way.ask(), self.way.way().address)]


def finding_of(answer: Answer, address: str) -> Finding:
    """What it means that an upgrade request without a token was answered so."""
    status = answer.status
    found = f"{address} answered HTTP {status}"
    if status in _EXPECTED:
        return well(f"{found}, {_EXPECTED[status]}")
    if status in _GOING:
        return failure(f"{found}: {_GOING[status]}", UNREACHED, "look at the control plane's log")
    is_redirect = 300 <= status < 400  # noqa: PLR2004
    return failure(found, UNREACHED, _MOVED if is_redirect else _CHECK_URL)


@dataclass(frozen=True, slots=True)
class Skew:
    """How far this machine's clock and the control plane's are apart."""

    way: ControlPlaneWay
    clock: Clock

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        began = self.clock.now().timestamp()
        date = await self.way.date()
        if date is None:
            return [unknown("what answers there does not say what time it is")]
        # Whole seconds, and somewhere between asking and hearing: less is not seen.
        ended = self.clock.now().timestamp()
        skew = max(date - ended, began - date - 1.0, 0.0)
        if skew < SKEW_WARNING_S:
            return [well("as the control plane's")]
        behind = "behind" if date > ended else "before"
        found = f"this machine's clock is {_duration(skew)} {behind} the control plane's"
        why = "certificates and tokens are taken for not yet or no longer good"
        if skew >= SKEW_FAILURE_S:
            return [failure(found, why, _SET_CLOCK)]
        return [warning(found, why, _SET_CLOCK)]


@dataclass(frozen=True, slots=True)
class Idle:
    """Whether something cuts connections on which nothing is said: tried out, for so many seconds."""

    way: ControlPlaneWay
    seconds: float
    ping_s: float

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        end = await self.way.idle(self.seconds)
        if end.is_open:
            return [well(f"an idle {end.kind} connection was open after {end.seconds:.0f} s")]
        if end.close_code is not None:
            return [
                well(
                    f"the control plane ended a WebSocket that did not introduce itself after "
                    f"{end.seconds:.0f} s (code {end.close_code}); nothing on the way did before"
                )
            ]
        return [self._cut(end)]

    def _cut(self, end: IdleEnd) -> Finding:
        what = f"an idle {end.kind} connection was cut"
        if end.kind != WEBSOCKET:
            what = f"an idle {end.kind} connection, on which no request was made, was ended"
        return finding_of_cuts(what, end.seconds, self.ping_s)


def finding_of_cuts(what: str, after_s: float, ping_s: float) -> Finding:
    """What it means for an agent that pings so often that idle connections are cut after so long."""
    found = f"{what} after {after_s:.0f} s"
    if after_s > ENOUGH * ping_s:
        return well(f"{found}, and the agent says something every {ping_s:g} s")
    return warning(
        found,
        f"a proxy or firewall on the way ends what is idle; the agent pings every {ping_s:g} s",
        f'AGENT_PING_INTERVAL="{max(1, int(after_s / 3))}" in the agent\'s settings and a restart, or a '
        "longer idle time-out at the proxy",
    )


@dataclass(frozen=True, slots=True)
class PastLinks:
    """Whether links ended after regular times, as far as the unit's journal goes back."""

    log: UnitLog
    aside: Aside

    async def __call__(self) -> Sequence[Finding]:
        """See `Check`."""
        try:
            lines = await self.aside(lambda: self.log.lines(UNIT, LINES))
        except RuntimeUnavailable as exc:
            return [unknown(f"the journal of {UNIT} cannot be read: {exc}", "use --idle SECONDS")]
        if not lines:
            found = f"the journal has nothing of {UNIT} that this user may read"
            return [unknown(found, "run it with sudo, or use --idle SECONDS")]
        if not tells_of_links(lines):
            found = f"no link began in the last {len(lines)} lines that the journal has of {UNIT}"
            return [unknown(found, "use --idle SECONDS")]
        lives = lives_of_links(lines)
        regular = regular_ends(lives)
        if regular is None:
            return [
                well(f"{len(lives)} links were lost in what the journal has, after no regular time")
            ]
        found = (
            f"{regular.times} of the last links were lost after about {regular.after_s:.0f} s each"
        )
        why = "something on the way ends connections after that time"
        remedy = (
            "instadeploy-agent doctor --idle SECONDS tries it out; AGENT_PING_INTERVAL below that time, or "
            "a longer time-out at the proxy"
        )
        return [warning(found, why, remedy)]


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
