"""Where agents connect to the control plane: a `ws` protocol for uvicorn, for the path /ws alone.

`uvicorn.Config(ws=hub.protocol_class, http=EntranceProtocol)` is what it is for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, cast

from adapters.websocket.hub_socket import AgentSocket
from application.ports.agent_link import Reception

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

NOTICED_S: Final = 43.0
"""A link of which one direction is dead has to be noticed within 45 s."""
SHORTEST_USER_TIMEOUT_S: Final = 10.0


class AgentHub:
    """Makes an `AgentSocket` of each connection that asks for an upgrade.

    `trusted` are networks of proxies, such as `127.0.0.0/8`, whose X-Forwarded-For is believed.
    """

    def __init__(
        self, reception: Reception, *, heartbeat_s: float, trusted: Iterable[str] = ()
    ) -> None:
        self.reception = reception
        self.trusted = tuple(ipaddress.ip_network(each) for each in trusted)
        # What is said at the latest every `heartbeat_s` has to be taken by the agent's machine, or
        # only one direction is left of the link.
        user_timeout_s = max(SHORTEST_USER_TIMEOUT_S, NOTICED_S - heartbeat_s)
        self.user_timeout_ms = int(user_timeout_s * 1000)
        # At DEBUG the library logs upgrade requests, and with them tokens; at INFO each connection.
        self.library_log = logging.getLogger("instadeploy.websockets.hub")
        self.library_log.setLevel(logging.CRITICAL)
        self.from_strangers = 0
        self.strangers: dict[AgentSocket, None] = {}

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The one that runs when the first agent comes."""
        return asyncio.get_running_loop()

    @property
    def protocol_class(self) -> type[asyncio.Protocol]:
        """What uvicorn takes for a class: called with its keywords, it gives a protocol."""
        return cast(type[asyncio.Protocol], partial(_socket_of, self))


def _socket_of(
    hub: AgentHub, *, config: Config, server_state: ServerState, app_state: Any
) -> AgentSocket:
    del config, app_state
    return AgentSocket(hub, cast(set[object], server_state.connections))
