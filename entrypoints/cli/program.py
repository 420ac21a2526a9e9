"""What a run of the program has to do with: its environment, its streams, and what it was asked for."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from domain.errors import InvalidInput
from entrypoints.cli.exits import NotLoggedIn, WrongUsage
from entrypoints.cli.printing import Look, Output, Printer
from entrypoints.version import VERSION

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from adapters.api_client.client import ApiClient
    from adapters.contexts.context_file import Context, ContextFile

PROGRAM: Final = "instadeploy"
URL: Final = "INSTADEPLOY_URL"
TOKEN: Final = "INSTADEPLOY_TOKEN"  # noqa: S105 - the name of a variable
CONTEXT: Final = "INSTADEPLOY_CONTEXT"
CONFIG: Final = "INSTADEPLOY_CONFIG"
CA_FILE: Final = "INSTADEPLOY_CA_FILE"
TOKEN_STORE: Final = "INSTADEPLOY_TOKEN_STORE"  # noqa: S105 - the name of a variable


class Connect(Protocol):
    """How a client is made: see `adapters.api_client.client.connected`."""

    def __call__(
        self, url: str, token: str | None, *, ca_file: Path | None
    ) -> AbstractAsyncContextManager[ApiClient]:
        """Nothing is sent before the first request."""


def connect(
    url: str, token: str | None, *, ca_file: Path | None
) -> AbstractAsyncContextManager[ApiClient]:
    """A client of a real control plane."""
    from adapters.api_client.client import connected  # noqa: PLC0415 - takes long to import

    return connected(url, token, ca_file=ca_file, agent=f"{PROGRAM}/{VERSION}")


class Pin(Protocol):
    """How a server is pinned: see `adapters.api_client.key_pins.key_pin_of`."""

    async def __call__(self, url: str, *, ca_file: Path | None) -> str | None:
        """None where it is not over TLS."""


async def pin(url: str, *, ca_file: Path | None) -> str | None:
    """The pin of a real server."""
    from adapters.api_client.key_pins import key_pin_of  # noqa: PLC0415 - takes long to import

    return await key_pin_of(url, ca_file=ca_file, agent=f"{PROGRAM}/{VERSION}")


@dataclass(frozen=True, slots=True)
class Program:
    """What surrounds it."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    stdin: IO[str] = field(default_factory=lambda: sys.stdin)
    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    connect: Connect = connect
    pin: Pin = pin
    now: Callable[[], float] = time.time
    directory: Path = field(default_factory=Path.cwd)


@dataclass(slots=True)
class Wishes:
    """What every command takes; what is said behind it outranks what is said before."""

    output: Output | None = None
    is_quiet: bool = False
    no_color: bool = False
    context: str | None = None
    ca_file: Path | None = None

    def over(self, earlier: Wishes) -> Wishes:
        """Both, of which this one counts first."""
        return Wishes(
            output=self.output or earlier.output,
            is_quiet=self.is_quiet or earlier.is_quiet,
            no_color=self.no_color or earlier.no_color,
            context=self.context or earlier.context,
            ca_file=self.ca_file or earlier.ca_file,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """The control plane that is meant, and the token for it. `context` is its name, where it has one."""

    url: str
    token: str | None = field(repr=False)
    ca_file: Path | None = None
    context: str = ""


@dataclass(slots=True)
class Invocation:
    """One run of one command. `goes_on` is the id of what goes on when the command is given up."""

    program: Program
    wishes: Wishes
    printer: Printer
    goes_on: str = ""
    is_sending: bool = False
    """Whether something was sent that may be carried out, and is not answered."""
    url: str = ""
    """Of the control plane, once it is known."""

    @classmethod
    def of(cls, program: Program, wishes: Wishes) -> Invocation:
        """What a command works with."""
        look = _look(program, wishes)
        output = wishes.output or Output.TABLE
        printer = Printer(program.out, program.err, output, wishes.is_quiet, look)
        return cls(program, wishes, printer)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.program.now()

    def variable(self, name: str) -> str:
        """Of the environment; empty where it is not set."""
        return self.program.environment.get(name, "")

    def contexts(self) -> ContextFile:
        """The file with the operator's control planes."""
        from adapters.contexts.context_file import ContextFile, default_path  # noqa: PLC0415

        set_path = self.variable(CONFIG)
        return ContextFile(Path(set_path).absolute() if set_path else default_path())

    def ca_file(self, context: Context | None = None) -> Path | None:
        """The certificates to trust beside the system's: as said, as set, as kept."""
        kept = context.ca_file if context else ""
        chosen = self.wishes.ca_file or self.variable(CA_FILE) or kept
        return Path(chosen) if chosen else None

    def target(self, *, needs_token: bool = True) -> Target:
        """Which control plane is meant. Raises `NotLoggedIn`, and what reading the files raises.

        The variables outrank the file. A token that is kept goes to its own URL and to no other one.
        """
        url, token = self.variable(URL).rstrip("/"), self.variable(TOKEN) or None
        if url and not url.lower().startswith(("https://", "http://")):
            raise InvalidInput(URL, f"must begin with https:// or http://, unlike {url!r}")
        context = self._context(is_needed=not url)
        if url and (context is None or context.url != url):
            context = None
            if needs_token and token is not None and would_show(url):
                raise WrongUsage(
                    f"{URL}: {url} would get {TOKEN} unencrypted: use https://, or log in with "
                    "--plain-http, once, and name the context"
                )
        if context is not None:
            url = context.url
            if token is None:
                token = self._kept_token(context)
        self.url = url
        if token is None and needs_token:
            raise NotLoggedIn(f"there is no token for {url}: instadeploy login {url}")
        return Target(url, token, self.ca_file(context), context.name if context else "")

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncIterator[ApiClient]:
        """A client of the control plane that is meant."""
        target = self.target()
        async with self.program.connect(target.url, target.token, ca_file=target.ca_file) as client:
            yield client

    def _context(self, *, is_needed: bool) -> Context | None:
        contexts = self.contexts().read()
        name = self.wishes.context or self.variable(CONTEXT) or contexts.current
        found = contexts.by_name.get(name)
        if found is None and name and (self.wishes.context or self.variable(CONTEXT)):
            known = ", ".join(sorted(contexts.by_name)) or "none"
            raise WrongUsage(f"there is no context {name!r}; there is: {known}")
        if found is None and is_needed:
            raise NotLoggedIn(
                "no control plane is known: instadeploy login https://..., or instadeploy setup for a "
                f"new one, or set {URL} and {TOKEN}"
            )
        return found

    def _kept_token(self, context: Context) -> str | None:
        from adapters.contexts.token_stores import store_of  # noqa: PLC0415

        return store_of(context, self.contexts().path.parent).get(context)


def would_show(url: str) -> bool:
    """Whether what is sent there crosses a network for everybody to read."""
    if not url.lower().startswith("http://"):
        return False
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"  # And `127.example.com` is a name as any other.


def _look(program: Program, wishes: Wishes) -> Look:
    if not program.out.isatty():
        return Look()
    is_dumb = program.environment.get("TERM", "dumb") in ("dumb", "unknown", "")
    is_plain = wishes.no_color or bool(program.environment.get("NO_COLOR"))
    return Look(
        has_colour=not is_plain and not is_dumb,
        may_redraw=not is_dumb,
        measure=lambda: shutil.get_terminal_size().columns,
    )
