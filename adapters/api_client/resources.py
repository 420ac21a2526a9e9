"""What all parts of the API share: questions, lists over pages, keys for what must not run twice."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from adapters.api_client.errors import Misunderstood
from adapters.api_client.sending import ANSWER_S, Parameters, Sending

PAGE: Final = 500
LONGEST_WAIT_S: Final = 60
"""So long the API answers later than it could, where that is preferred (`Prefer: wait=N`)."""


def new_key() -> str:
    """An `Idempotency-Key`: the request under it is carried out once, however often it is sent."""
    return str(uuid.uuid4())


def part(name: str) -> str:
    """A name as a part of a path; nothing in it leads elsewhere."""
    # What is left of dots alone would be resolved by the HTTP library.
    return quote(name, safe="").replace(".", "%2E") if set(name) <= {"."} else quote(name, safe="")


class Resource:
    """One part of the API. All methods raise `ApiFailure`."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    async def _get(self, path: str, query: Parameters = ()) -> Any:
        answer = await self._sending.ask("GET", path, query=query, may_repeat=True)
        return _object(answer.document())

    async def _change(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, **how: Any
    ) -> Any:
        """What is not repeated once it was sent, unless `how` says that it may be."""
        answer = await self._sending.ask(method, path, body=body, **how)
        return _object(answer.document()) if answer.content else {}

    async def _submit(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        wait_s: float = 0.0,
        within_s: float = ANSWER_S,
        key: str | None = None,
    ) -> Any:
        """What becomes a job or deployment: sent until it is answered, carried out once."""
        headers = {"Idempotency-Key": key or new_key()}
        wait = min(int(wait_s), LONGEST_WAIT_S)
        if wait > 0:
            headers["Prefer"] = f"wait={wait}"
        answer = await self._sending.ask(
            "POST", path, body=body, headers=headers, may_repeat=True, within_s=within_s + wait
        )
        return _object(answer.document())

    async def _list(
        self, path: str, query: Parameters = (), *, limit: int | None = None
    ) -> list[Any]:
        """The items of a list, over as many pages as it has, `limit` of them at most."""
        found: list[Any] = []
        after = ""
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            more = [*query, ("limit", str(size))] + ([("after", after)] if after else [])
            page = await self._get(path, more)
            items = page.get("items")
            if not isinstance(items, list):
                raise Misunderstood("the answer is no list: is this a control plane's URL?")
            found += items
            if not page.get("next"):
                break
            after = str(page["next"])
        return found


def _object(document: Any) -> Any:
    if not isinstance(document, dict):
        raise Misunderstood("the answer is no JSON object: is this a control plane's URL?")
    return document
