"""What can be done to a message on its way, and seeded plans of doing it.

A plan decides by where a message stands (the connection's number, the direction, the message's
number in it) and by nothing else, so that the same seed decides the same however the two directions
interleave. What it did is recorded: a run that fails prints its plan, and `ChaosPlan.of` replays it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from tests.support.passing_frames import text_object

Direction = Literal["up", "down"]
UP: Final = "up"
"""From the agent to the control plane."""
DOWN: Final = "down"

How = Literal["rst", "fin"]


@dataclass(frozen=True)
class Pass:
    """Forward it."""


@dataclass(frozen=True)
class Delay:
    """Forward it, and all behind it, so much later."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """End the connection on both sides, with so much of the message forwarded."""

    where: Literal["before", "middle", "after"] = "before"
    how: How = "rst"


@dataclass(frozen=True)
class Duplicate:
    """Forward it so many times in all."""

    times: int = 2


@dataclass(frozen=True)
class Reorder:
    """Forward the next message before it; where none comes for so long, as it was."""

    wait_s: float = 0.25


@dataclass(frozen=True)
class Swallow:
    """Forget it."""


@dataclass(frozen=True)
class Freeze:
    """Forward neither it nor anything behind it until the direction is thawed."""


@dataclass(frozen=True)
class Slice:
    """Forward it in writes of so many bytes."""

    size: int = 1


Action = Pass | Delay | Cut | Duplicate | Reorder | Swallow | Freeze | Slice


def name_of(action: Action) -> str:
    """`cut`, `delay`, ...: what the proxy counts by."""
    return type(action).__name__.lower()


@dataclass(frozen=True)
class Passing:
    """One message on its way. Connections, and messages of each direction, count from 1."""

    connection: int
    direction: Direction
    number: int
    payload: bytes

    @cached_property
    def json(self) -> dict[str, Any]:
        """The JSON object that it is; empty where it is none."""
        return text_object(self.payload)

    @property
    def type(self) -> str:
        """Its `type`; empty where it has none."""
        return str(self.json.get("type", ""))


Predicate = Callable[[Passing], bool]


def anything(_: Passing) -> bool:
    return True


def nth(number: int) -> Predicate:
    """The n-th message of its direction on its connection, from 1."""
    return lambda message: message.number == number


def of_type(*types: str) -> Predicate:
    """Messages of these types."""
    return lambda message: message.type in types


def is_durable(message: Passing) -> bool:
    """Messages that have a `seq`."""
    return "seq" in message.json


@dataclass(frozen=True)
class Decision:
    """What a plan did to which message."""

    connection: int
    direction: Direction
    number: int
    type: str
    action: Action


RATES: Final[Mapping[str, float]] = {
    "delay": 0.05,
    "slice": 0.05,
    "cut": 0.02,
    "duplicate": 0.02,
    "reorder": 0.02,
}
"""How often each is done. `swallow` is possible and not among them: where nothing follows, nobody
notices what is missing until the next connection."""

_DURABLE_ONLY: Final = frozenset({"duplicate", "reorder", "swallow"})
"""Of what has no number, nothing may be lost, come twice or come early: TCP sees to that."""


class ChaosPlan:
    """Disturbs the first `connections` connections, or all where it is None."""

    def __init__(
        self,
        seed: int,
        *,
        rates: Mapping[str, float] = RATES,
        connections: int | None = None,
        longest_delay_s: float = 0.02,
    ) -> None:
        self.decisions: list[Decision] = []
        self._seed = seed
        self._rates = dict(rates)
        self._connections = connections
        self._longest_delay_s = longest_delay_s
        self._fixed: dict[tuple[int, str, int], Action] | None = None

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> ChaosPlan:
        """The plan that does this, and nothing else."""
        plan = cls(0, rates={})
        plan._fixed = {(one.connection, one.direction, one.number): one.action for one in decisions}
        return plan

    def decide(self, message: Passing) -> Action:
        """What is done to a message; recorded where that is anything."""
        place = (message.connection, message.direction, message.number)
        fixed = self._fixed
        action = self._draw(message) if fixed is None else fixed.get(place, Pass())
        if not isinstance(action, Pass):
            self.decisions.append(Decision(*place, message.type, action))
        return action

    def _draw(self, message: Passing) -> Action:
        if self._connections is not None and message.connection > self._connections:
            return Pass()
        place = f"{self._seed}/{message.connection}/{message.direction}/{message.number}"
        dice = random.Random(place)
        drawn = dice.random()
        for name, rate in self._rates.items():
            if drawn < rate:
                allowed = name not in _DURABLE_ONLY or is_durable(message)
                return self._action(name, dice) if allowed else Pass()
            drawn -= rate
        return Pass()

    def _action(self, name: str, dice: random.Random) -> Action:
        match name:
            case "delay":
                return Delay(round(dice.uniform(0, self._longest_delay_s), 4))
            case "cut":
                return Cut(dice.choice(("before", "middle", "after")), dice.choice(("rst", "fin")))
            case "duplicate":
                return Duplicate(dice.randint(2, 3))
            case "reorder":
                return Reorder(self._longest_delay_s)
            case "slice":
                return Slice(dice.choice((1, 2, 7, 64)))
            case "swallow":
                return Swallow()
        raise ValueError(f"no plan does {name!r}")

    def __str__(self) -> str:
        """The seed, and what was done, as Python that replays it."""
        done = "".join(f"\n    {decision!r}," for decision in self.decisions)
        return f"# seed {self._seed}\nChaosPlan.of([{done}\n])"
