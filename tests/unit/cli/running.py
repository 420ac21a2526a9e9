"""The command line in this process, against a control plane in memory."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.api_client.client import ApiClient
from entrypoints.cli.__main__ import main
from entrypoints.cli.program import Program
from tests.unit.cli.fake_api import connect_to
from tests.unit.cli.world import NOW, TOKEN, World

URL = "https://cp.example"


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        """What was written to standard output, which is one JSON document."""
        return json.loads(self.out)

    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.err)["error"]
        return found


@dataclass
class CommandLine:
    """Runs commands in `home`, which has the contexts too."""

    home: Path
    world: World = field(default_factory=World)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment = {
            "INSTADEPLOY_CONFIG": str(self.home / "config" / "config.json"),
            "INSTADEPLOY_TOKEN_STORE": "file",
            "INSTADEPLOY_URL": URL,
            "INSTADEPLOY_TOKEN": TOKEN,
        } | self.environment

    def run(self, *arguments: str, stdin: str = "", is_terminal: bool = False) -> Ran:
        out = Terminal() if is_terminal else io.StringIO()
        err = io.StringIO()
        program = Program(
            environment=self.environment,
            stdin=io.StringIO(stdin),
            out=out,
            err=err,
            connect=self._connect,
            pin=self._pin,
            now=lambda: NOW + 60,
            directory=self.home,
        )
        code = main(list(arguments), program)
        return Ran(code, out.getvalue(), err.getvalue())

    def ok(self, *arguments: str, **more: Any) -> Ran:
        """A run that must succeed."""
        ran = self.run(*arguments, **more)
        assert ran.code == 0, ran
        return ran

    def asked(self, what: str) -> list[Any]:
        """What was asked for under this word."""
        return [how for word, how in self.world.asked if word == what]

    @contextmanager
    def without(self, *variables: str) -> Iterator[None]:
        """These are not set meanwhile."""
        before = dict(self.environment)
        for name in variables:
            self.environment.pop(name, None)
        try:
            yield
        finally:
            self.environment = before

    async def _pin(self, url: str, *, ca_file: Path | None) -> str | None:
        self.world.asked.append(("pin", {"url": url, "ca_file": ca_file}))
        if self.world.pin_fails_with is not None:
            raise self.world.pin_fails_with
        return self.world.pin

    def _connect(
        self, url: str, token: str | None, *, ca_file: Path | None
    ) -> AbstractAsyncContextManager[ApiClient]:
        return functools.partial(connect_to, self.world)(url, token, ca_file)
