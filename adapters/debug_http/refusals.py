"""Who may ask, and what the others are told: JSON that says what to do."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
_NEVER_STORED: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class RequestRefused(Exception):
    """An HTTP request that is not carried out. `str()` says what to do; it repeats no header."""

    def __init__(self, status: int, advice: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(advice)
        self.status = status
        self.headers = headers

    def response(self) -> web.Response:
        """What the client gets, as the last thing on its connection."""
        response = json_response(self.status, {"error": str(self)}, self.headers)
        response.force_close()
        return response


def json_response(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response that no cache keeps and no browser guesses at."""
    return web.json_response(
        text=f"{json.dumps(body)}\n",
        status=status,
        headers={**_NEVER_STORED, **(headers or {})},
    )


class Guard:
    """Lets a request pass that a local program with the token has made, and no browser.

    A web page cannot send the token by itself. The Host header keeps out a page whose name was made
    to resolve to this machine, the Origin header a page that got hold of the token.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode("ascii")

    def check(self, request: web.BaseRequest) -> None:
        """Raise `RequestRefused` unless the request may be looked at."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not _LOCAL_HOST.fullmatch(hosts[0]):
            raise RequestRefused(
                421, "the Host header must be 127.0.0.1 or localhost; ask for it by that name"
            )
        if "Origin" in request.headers:
            raise RequestRefused(
                403, "requests with an Origin header are refused: no web page may drive the agent"
            )
        if not self._is_authorised(request.headers.getall("Authorization", [])):
            raise RequestRefused(
                401,
                "send the agent's token in one header, Authorization: Bearer <AGENT_SECRET_TOKEN>",
                {"WWW-Authenticate": 'Bearer realm="instadeploy-agent"'},
            )

    def _is_authorised(self, values: list[str]) -> bool:
        if len(values) != 1:
            return False
        scheme, _, presented = values[0].partition(" ")
        # aiohttp decodes headers with surrogateescape; this gives the bytes that were sent.
        given = presented.strip(" ").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"
