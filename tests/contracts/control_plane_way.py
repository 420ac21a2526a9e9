"""What every `ControlPlaneWay` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from application.ports.control_plane_way import WEBSOCKET, ControlPlaneWay
from domain.errors import TransportLost


class ControlPlaneWayContract:
    """Give the `way` to a control plane that answers 401 and cuts nothing, and a `blocked_way`.

    `silent_way` leads to who takes a connection and says nothing.
    """

    @pytest.fixture
    def way(self) -> ControlPlaneWay:
        raise NotImplementedError

    @pytest.fixture
    def blocked_way(self) -> ControlPlaneWay:
        raise NotImplementedError

    @pytest.fixture
    def silent_way(self) -> ControlPlaneWay:
        raise NotImplementedError

    async def test_each_stage_can_be_gone_by_itself_and_again(self, way: ControlPlaneWay) -> None:
        for _ in range(2):
            assert await way.resolve()
            await way.connect()
            assert (await way.secure()).expires_at > 0
            assert (await way.ask()).status == 401

    async def test_where_it_leads_is_known_without_going(
        self, blocked_way: ControlPlaneWay
    ) -> None:
        found = blocked_way.way()
        assert found.host in found.address
        assert found.proxy == ""

    @pytest.mark.parametrize("stage", ["connect", "ask", "date"])
    async def test_what_cannot_be_reached_is_lost(
        self, blocked_way: ControlPlaneWay, stage: str
    ) -> None:
        with pytest.raises(TransportLost):
            await getattr(blocked_way, stage)()

    async def test_idling_ends_when_the_time_is_over(self, way: ControlPlaneWay) -> None:
        end = await way.idle(0.05)
        assert end.is_open
        assert end.kind != WEBSOCKET or end.close_code is None
        assert end.seconds >= 0.05

    @pytest.mark.parametrize("stage", ["ask", "date"])
    async def test_waiting_for_an_answer_can_be_cancelled(
        self, silent_way: ControlPlaneWay, stage: str
    ) -> None:
        question: Callable[[], asyncio.Future[object]] = getattr(silent_way, stage)
        asking = asyncio.ensure_future(question())
        done, _ = await asyncio.wait({asking}, timeout=0.05)
        assert not done
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
