"""/install.sh and /agent: what a machine fetches that is to become a host. Neither holds a secret."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.fleet.access import Permission
from entrypoints.control_plane.agent_file import AgentDigest, OpenAgent
from entrypoints.control_plane.rest.guard import GuardedRoute, needs
from entrypoints.control_plane.rest.held_response import ABORT, STALLED_S
from entrypoints.control_plane.rest.install_script import (
    AGENT_PATH,
    INSTALL_PATH,
    ScriptFacts,
    base_url,
    rendered,
)
from entrypoints.control_plane.rest.parts import Parts
from entrypoints.control_plane.rest.problems import Problem, responses

PUBLIC: Final = needs(Permission.PUBLIC)
SCRIPT_TYPE: Final = "text/x-shellscript"
FILE_TYPE: Final = "application/octet-stream"
WHOLE_S: Final = 900.0
"""As long as install.sh waits for the whole file."""

_SCRIPT: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {
        "description": "A script for sh(1)",
        "content": {SCRIPT_TYPE: {"schema": {"type": "string"}}},
    },
    **responses(404, 503),
}
_FILE: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file; its SHA-256 is its `ETag`",
        "content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    **responses(404, 503),
}
_NO_BODY: Final[Mapping[int | str, dict[str, Any]]] = {
    200: {"description": "The headers alone"},
    **responses(404, 503),
}


def installing_router(parts: Parts) -> APIRouter:
    """Outside of /api, and for everybody: a machine that is no host yet has no token."""
    router = APIRouter(tags=["enrolments"], route_class=GuardedRoute)

    async def script_for(request: Request) -> Response:
        digest = await parts.agent_file.digest()
        if digest is None:
            raise no_agent_file()
        facts = ScriptFacts(
            base_url(request, parts.public_url),
            parts.control_plane_key,
            digest,
            parts.clock.now().timestamp(),
            parts.ca_pem,
        )
        return Response(rendered(facts), media_type=SCRIPT_TYPE)

    @router.get(
        INSTALL_PATH,
        dependencies=[PUBLIC],
        summary="The script that makes a machine a host",
        description="It wants the token of an enrolment in the variable INSTADEPLOY_ENROLL_TOKEN, "
        "verifies the agent's SHA-256 and has it install itself. docs/install.md is about it.",
        operation_id="install_script",
        response_class=Response,
        responses={**_SCRIPT},
    )
    async def install_script(request: Request) -> Response:
        return await script_for(request)

    @router.head(
        INSTALL_PATH,
        dependencies=[PUBLIC],
        summary="Whether the script is there",
        operation_id="install_script_headers",
        response_class=Response,
        responses={**_NO_BODY},
    )
    async def install_script_headers(request: Request) -> Response:
        return await script_for(request)

    @router.get(
        AGENT_PATH,
        dependencies=[PUBLIC],
        summary="The agent, as one file",
        operation_id="agent_file",
        response_class=Response,
        responses={**_FILE},
    )
    async def agent_file(request: Request) -> Response:
        address = "" if request.client is None else request.client.host
        async with AsyncExitStack() as stack:
            agent = await stack.enter_async_context(parts.agent_file.opened(address))
            if agent is None:
                raise no_agent_file()
            return AgentFileResponse(agent, stack.pop_all())

    @router.head(
        AGENT_PATH,
        dependencies=[PUBLIC],
        summary="The agent's size and SHA-256",
        operation_id="agent_file_headers",
        response_class=Response,
        responses={**_NO_BODY},
    )
    async def agent_file_headers() -> Response:
        digest = await parts.agent_file.digest()
        if digest is None:
            raise no_agent_file()
        return Response(headers=_headers(digest), media_type=FILE_TYPE)

    return router


def no_agent_file() -> Problem:
    """What is to be done so that there is one."""
    return Problem(
        404,
        "not_found",
        "this control plane has no agent to give: put the single file that `make build-linux` builds "
        "into its state directory, as `agent`, or set CONTROL_PLANE_AGENT_FILE",
    )


def _headers(digest: AgentDigest) -> dict[str, str]:
    return {
        "Accept-Ranges": "none",
        # Not secret, and large: it may be kept by who asks whether it is still the same.
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="agent"',
        "Content-Length": str(digest.size),
        "ETag": f'"{digest.sha256}"',
    }


class AgentFileResponse(Response):
    """Sends an open file piece by piece.

    A reader that takes nothing for `STALLED_S`, or not all within `WHOLE_S`, is given up: only so many
    may read at once.
    """

    def __init__(self, agent: OpenAgent, opened: AsyncExitStack) -> None:
        super().__init__(headers=_headers(agent.digest), media_type=FILE_TYPE)
        self._agent = agent
        self._opened = opened

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,  # noqa: ARG002 - as ASGI has it
        send: Send,
    ) -> None:
        """See ASGI."""
        async with self._opened:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async with asyncio.timeout(WHOLE_S):
                    is_whole = await self._send(send)
            except TimeoutError:
                is_whole = False
            abort = scope.get("extensions", {}).get(ABORT)
            if not is_whole and abort is not None:
                abort()

    async def _send(self, send: Send) -> bool:
        """Whether all of it was sent; not where the file was cut meanwhile."""
        at, size = 0, self._agent.digest.size
        while at < size:
            piece = await self._agent.piece(at)
            if not piece:
                return False
            at += len(piece)
            async with asyncio.timeout(STALLED_S):
                message = {"type": "http.response.body", "body": piece, "more_body": at < size}
                await send(message)
        return True
