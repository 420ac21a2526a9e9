"""Two network namespaces with a wire between them, and everything that can happen to a wire.

An agent lives in the one, a control plane listens in the other; nothing of it touches the machine's
own network, and the two addresses are the same in every pair.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
from pathlib import Path
from typing import Final, Literal, Self

from tests.support.namespaces import inside

Direction = Literal["to the agent", "to the control plane"]
TO_AGENT: Final = "to the agent"
TO_PEER: Final = "to the control plane"
BOTH: Final[tuple[Direction, ...]] = (TO_AGENT, TO_PEER)

AGENT_ADDRESS: Final = "10.77.0.2"
PEER_ADDRESS: Final = "10.77.0.1"
PORT: Final = 8443


class Network:
    """Made on entering the context, and removed with all that is in it on leaving."""

    def __init__(self) -> None:
        tag = secrets.token_hex(4)
        self._agent_side, self._peer_side = f"idf-{tag}-a", f"idf-{tag}-p"

    def __enter__(self) -> Self:
        sides = ((self._agent_side, AGENT_ADDRESS), (self._peer_side, PEER_ADDRESS))
        for side, _ in sides:
            _run("ip", "netns", "add", side)
        here, there = (("name", "wire", "netns", side) for side, _ in sides)
        _run("ip", "link", "add", *here, "type", "veth", "peer", *there)
        for side, address in sides:
            inside = ("ip", "-n", side)
            _run(*inside, "address", "add", f"{address}/30", "dev", "wire")
            _run(*inside, "link", "set", "lo", "up")
            _run(*inside, "link", "set", "wire", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for side in (self._agent_side, self._peer_side):
            _run("ip", "netns", "delete", side)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What starts a program on the agent's side, and becomes it."""
        return ("nsenter", f"--net=/run/netns/{self._agent_side}")

    @property
    def url(self) -> str:
        return f"ws://{PEER_ADDRESS}:{PORT}/ws"

    def listener(self, _port: int = 0) -> socket.socket:
        """A socket on the control plane's side, which does not listen yet."""
        with inside(Path("/run/netns", self._peer_side)):
            one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((PEER_ADDRESS, PORT))
        one.setblocking(False)
        return one

    def drop(self, *directions: Direction) -> None:
        """A black hole: what goes there arrives nowhere, and nobody is told."""
        for direction in directions:
            self._filter(direction, "-j", "DROP")

    def reset(self) -> None:
        """Whatever the agent sends is answered with a reset, a dial too."""
        self._filter(TO_PEER, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def lose(self, probability: float) -> None:
        """Both directions lose so many of their packets."""
        for direction in BOTH:
            random = ("-m", "statistic", "--mode", "random", "--probability", str(probability))
            self._filter(direction, *random, "-j", "DROP")

    def heal(self) -> None:
        """Let everything through."""
        for side in (self._agent_side, self._peer_side):
            _run(*_in(side), "iptables", "--wait", "--flush", "INPUT")

    def down(self, *, far: bool = False) -> None:
        """Take the agent's link down, or the other end of its wire, which the kernel tells it of."""
        self._set("down", far=far)

    def up(self, *, far: bool = False) -> None:
        self._set("up", far=far)

    def _set(self, state: str, *, far: bool) -> None:
        side = self._peer_side if far else self._agent_side
        _run("ip", "-n", side, "link", "set", "wire", state)

    def _filter(self, direction: Direction, *rule: str) -> None:
        side = self._agent_side if direction == TO_AGENT else self._peer_side
        _run(*_in(side), "iptables", "--wait", "--append", "INPUT", "--in-interface", "wire", *rule)


def _in(side: str) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{side}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
