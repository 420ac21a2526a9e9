"""One request after another, each with a deadline; repeated where that cannot do anything twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from adapters.api_client.errors import FieldError, Misunderstood, Refused, Unreachable
from domain.backoff import reconnect_delays
from domain.errors import InstaDeployError

API: Final = "/api/v1"
CONNECT_S: Final = 10.0
ANSWER_S: Final = 60.0
"""So long an answer may take from the first byte of a request to its own last one."""
BRINGING_S: Final = 300.0
"""The same where a project's content is sent: up to 8 MiB, over a slow line."""
LARGEST_ANSWER: Final = 64 * 1024 * 1024

Parameters = Sequence[tuple[str, str]]
Sleep = Callable[[float], Awaitable[None]]

_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_BUSY: Final = 503
_SECONDS: Final = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes

    def document(self) -> Any:
        """The JSON that it is. Raises `Misunderstood`."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "of no type")[:80]
            raise Misunderstood(
                f"the answer is {kind} and no JSON: is this a control plane's URL?"
            ) from None


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a request is made again that was not sent, or not answered."""

    unsent_s: float = 3.0
    unanswered_s: float = 60.0


def half_to_whole(delay: float) -> float:
    """So that many clients do not all come back at the same moment."""
    return delay * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class Sending:
    """Requests to one control plane. Not to be used by two tasks for one request; otherwise it may."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        patience: Patience = Patience(),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.http = http
        self.sleep = sleep
        self._patience = patience

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Parameters = (),
        headers: Mapping[str, str] | None = None,
        may_repeat: bool = False,
        within_s: float = ANSWER_S,
    ) -> Answer:
        """The answer, which is one of success.

        Where no connection could be made, it is tried again for some seconds. With `may_repeat`, so
        is what was sent and not answered, or answered with `busy`: only for requests that do the same
        when they come twice. Raises `Refused`, `Unreachable` and `Misunderstood`.
        """
        loop = asyncio.get_running_loop()
        begun, was_sent = loop.time(), False
        for delay in reconnect_delays(first_s=0.3, longest_s=5.0, jitter=half_to_whole):
            try:
                return await self._once(method, path, body, query, headers, within_s)
            except Refused as exc:
                if not (may_repeat and exc.status == _BUSY):
                    raise
                failure: InstaDeployError = exc
                wait_s = max(delay, min(exc.retry_after_s or 0.0, 10.0))
                patience_s = self._patience.unanswered_s
            except Unreachable as exc:
                was_sent = was_sent or not exc.is_certain
                if was_sent and not may_repeat:
                    raise
                failure, wait_s = Unreachable(str(exc), is_certain=not was_sent), delay
                patience_s = self._patience.unanswered_s if was_sent else self._patience.unsent_s
            if loop.time() - begun + wait_s > patience_s:
                raise failure
            await self.sleep(wait_s)
        raise AssertionError("the delays never end")

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Parameters,
        headers: Mapping[str, str] | None,
        within_s: float,
    ) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        sent = dict(headers or {}) | ({} if body is None else {"Content-Type": "application/json"})
        with translated(within_s):
            async with (
                asyncio.timeout(within_s),
                self.http.stream(
                    method, API + path, content=content, params=list(query), headers=sent
                ) as response,
            ):
                answer = await _read(response)
        check(answer)
        return answer

    @contextlib.asynccontextmanager
    async def opened(
        self, path: str, *, query: Parameters = (), headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """A response that is read piece by piece; whoever reads it says how long silence may last.

        Raises like `ask`, also while it is read.
        """
        with translated(CONNECT_S):
            async with self.http.stream(
                "GET", API + path, params=list(query), headers=dict(headers or {})
            ) as response:
                if not response.is_success:
                    async with asyncio.timeout(CONNECT_S):
                        check(await _read(response))
                yield response


async def _read(response: httpx.Response) -> Answer:
    """Read it to its end, within bounds."""
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise Misunderstood("the answer is larger than any of a control plane's")
        pieces.append(piece)
    return Answer(response.status_code, response.headers, b"".join(pieces))


def check(answer: Answer) -> None:
    """Raise what an answer says that is none of success: `Refused`, or `Misunderstood`."""
    if httpx.codes.is_success(answer.status):
        return
    if httpx.codes.is_redirect(answer.status):
        to = answer.headers.get("location", "")[:200]
        raise Misunderstood(f"it answers with a redirection to {to}: use that address")
    document = _problem_in(answer.content)
    if document is None:
        raise Misunderstood(
            f"it answers with HTTP {answer.status} and no problem that can be read: is this a "
            "control plane's URL, and does its proxy reach it?"
        )
    raise Refused(
        answer.status,
        str(document["code"]),
        str(document.get("detail", "")),
        title=str(document.get("title", "")),
        errors=[
            FieldError(str(one.get("field", "")), str(one.get("rule", "")))
            for one in document.get("errors") or ()
            if isinstance(one, dict)
        ],
        retryable=bool(document.get("retryable")),
        retry_after_s=_seconds(answer.headers.get("retry-after")),
    )


def _problem_in(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and "code" in document else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and _SECONDS.fullmatch(text) else None


@contextlib.contextmanager
def translated(within_s: float) -> Iterator[None]:
    """Have what the library raises be ours. Its words name addresses and reasons, never headers."""
    try:
        yield
    except TimeoutError:
        raise Unreachable(f"no answer within {within_s:g} s", is_certain=False) from None
    except _UNSENT as exc:
        raise Unreachable(_why(exc)) from exc
    except httpx.TimeoutException as exc:
        raise Unreachable("the control plane has stopped answering", is_certain=False) from exc
    except httpx.UnsupportedProtocol as exc:
        raise Unreachable("the URL must begin with http:// or https://") from exc
    except httpx.LocalProtocolError as exc:
        # Its words may quote a header.
        raise Unreachable("the request cannot be sent as it is") from exc
    except httpx.HTTPError as exc:
        raise Unreachable(_why(exc), is_certain=False) from exc


def _why(error: Exception) -> str:
    """What is at the bottom of it, in one line."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS fails: {cause.reason or cause}"
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)  # asyncio's own words are about calls.
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(error, httpx.TimeoutException):
        return f"no connection within {CONNECT_S:g} s"
    return str(error).splitlines()[0][:200] if str(error) else "the connection was cut"
