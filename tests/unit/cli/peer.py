"""What answers a client in the place of a control plane, as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from adapters.api_client.client import ApiClient, client_over
from adapters.api_client.sending import Patience, Sending

TOKEN = "ida_" + "s" * 43
Answerer = Callable[[httpx.Request], httpx.Response]


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    document = {"code": code, "title": "A title", "detail": "a detail", "status": status, **more}
    return httpx.Response(status, json=document, headers={"Retry-After": "1"})


class Peer:
    """Answers with one thing after another, the last again and again; remembers what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception | Answerer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        transport = httpx.MockTransport(self._answer)
        http = httpx.AsyncClient(
            transport=transport,
            base_url="https://cp.example",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        self.api: ApiClient = client_over(
            Sending(http, patience=Patience(1e6, 1e6), sleep=self._sleep)
        )
        self.impatient = client_over(Sending(http, patience=Patience(0, 0), sleep=self._sleep))

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def refused() -> httpx.ConnectError:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ConnectionRefusedError(111, "Connect call failed")
    return error
