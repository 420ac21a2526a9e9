"""Several GETs for one question: on one connection, at one version of the API, by one deadline.

The engine says the newest version that it speaks in the header `Api-Version` of every answer, and
answers 400 where a path names one that it does not speak. 20.10 speaks up to 1.41; 29 none below
1.44. So the newest is asked for that both know, and, of an engine that knows none of those any
more, its own: what is read here has been the same since 1.24.
API: https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from adapters.engine.address import EngineAddress
from adapters.engine.listing import MAX_LISTING_BYTES

if TYPE_CHECKING:
    from adapters.engine.exchange import Answer, Conversation

NEWEST_KNOWN: Final = (1, 51)
AT_ONCE: Final = 16
"""Little enough that the questions fit into a socket while nobody reads the answers."""


class EngineReads:
    """The engine at an address, and the version of the API that was agreed on with it."""

    def __init__(self, docker_host: str, *, answer_s: float) -> None:
        self._address = EngineAddress(docker_host)
        self._answer_s = answer_s
        self._version: str | None = None

    @contextlib.asynccontextmanager
    async def begun(self) -> AsyncIterator[Reading]:
        """One question; raises `RuntimeUnavailable` where it cannot be answered in time."""
        async with self._address.answering(self._answer_s):
            reading = Reading(self._address, self._version)
            try:
                yield reading
            except (ValueError, KeyError, TypeError, AttributeError):
                raise self._address.is_not_docker() from None
            finally:
                reading.close()
            self._version = reading.version


class Reading:
    """One question that is being asked. Whoever reads what no engine says raises as `json` does."""

    def __init__(self, address: EngineAddress, version: str | None) -> None:
        self.version = version
        """The version of the API, as `1.41`; None until it is agreed on."""
        self._address = address
        self._conversation: Conversation | None = None
        self._open = contextlib.ExitStack()

    async def get(self, path: str, **query: str) -> Any:
        """What a 200 answer says, parsed. Any other raises `RuntimeUnavailable`."""
        return self._parsed(await self._answer(path, query))

    async def find(self, path: str) -> Mapping[str, Any] | None:
        """As `get`; None where the engine has no such thing, or nothing can be called so."""
        return self._found(await self._answer(path, {}))

    async def find_each(self, paths: Sequence[str]) -> list[Mapping[str, Any] | None]:
        """As `find`, once something has been got; what comes of all of them, in order.

        They are asked one behind the other without waiting, where the engine has kept the
        connection open after what was got, which saves a quarter of the time.
        """
        found: list[Mapping[str, Any] | None] = []
        at_once = AT_ONCE
        while len(found) < len(paths):
            is_kept = self._conversation is not None and self._conversation.is_open
            rest = paths[len(found) :][: at_once if is_kept else 1]
            try:
                answers = await self._ask(*(f"/v{self.version}{path}" for path in rest))
            except ConnectionError:
                if at_once == 1:
                    raise
                # It was cut, perhaps for that: what was answered already may be lost with it.
                at_once, self._conversation = 1, None
                continue
            found += map(self._found, answers)
        return found

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._open.close()

    def _found(self, answer: Answer) -> Mapping[str, Any] | None:
        is_none = answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST)
        if is_none and not _refuses_the_version(answer):
            return None
        (found,) = list_of([self._parsed(answer)])
        return found

    def _parsed(self, answer: Answer) -> Any:
        if answer.status != HTTPStatus.OK:
            raise self._address.has_refused(answer.status, answer.body)
        return json.loads(answer.body)

    async def _answer(self, path: str, query: Mapping[str, str]) -> Answer:
        target = f"{path}?{urlencode(query)}" if query else path
        (answer,) = await self._ask(f"/v{self.version or await self._agree()}{target}")
        if _refuses_the_version(answer):  # The engine has been replaced since it was agreed on.
            (answer,) = await self._ask(f"/v{await self._agree(but=self.version)}{target}")
        return answer

    async def _agree(self, *, but: str | None = None) -> str:
        (answer,) = await self._ask("/_ping")
        major, minor = map(int, answer.api_version.split("."))
        known = min((major, minor), NEWEST_KNOWN)
        self.version = f"{known[0]}.{known[1]}"
        if self.version == but:
            self.version = f"{major}.{minor}"
        return self.version

    async def _ask(self, *targets: str) -> list[Answer]:
        # Imported when it is first needed: an agent that waits for work does without h11's memory.
        from adapters.engine.exchange import Conversation  # noqa: PLC0415

        if self._conversation is None or not self._conversation.is_open:
            self._open.close()
            reader, writer = await self._address.connect()
            self._open.callback(writer.close)
            self._conversation = Conversation(reader, writer)
        return await self._conversation.get(*targets, max_body_bytes=MAX_LISTING_BYTES)


def labelled(*labels: str) -> dict[str, str]:
    """The query for those that carry all these labels, each `name` or `name=value`."""
    return {"filters": json.dumps({"label": labels})}


def list_of(found: object) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; the engine says null for an empty one."""
    if found is not None and not isinstance(found, list):
        raise TypeError
    for entry in found or ():
        if not isinstance(entry, dict):
            raise TypeError
        yield entry


def _refuses_the_version(answer: Answer) -> bool:
    return answer.status == HTTPStatus.BAD_REQUEST and b"client version" in answer.body
