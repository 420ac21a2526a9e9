"""The API does what its document says, whatever is sent to it: thousands of requests, always the same."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from entrypoints.control_plane.rest.app import create_app
from tests.fakes.clock import FakeClock
from tests.support.control_plane_parts import ADMIN, ControlPlane


class ImpatientClock(FakeClock):
    """Nobody waits long for anything."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return asyncio.timeout(0.001)


def a_plane() -> ControlPlane:
    """With the administrator, a host and a deployment, so that there is something to be found."""
    plane = ControlPlane(clock=ImpatientClock())

    async def prepare() -> None:
        await plane.with_administrator()
        await plane.add_hosts("web-1", env="prod")

    asyncio.run(prepare())
    return plane


SCHEMA: Final = schemathesis.openapi.from_asgi(
    "/api/v1/openapi.json", create_app(a_plane().parts())
)


@SCHEMA.parametrize()
@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_api_does_what_its_document_says(case: Any) -> None:
    # Not all rules can be said in a schema: what a compose file is, which names are whose.
    case.call_and_validate(
        headers={"Authorization": f"Bearer {ADMIN}"}, excluded_checks=[positive_data_acceptance]
    )
