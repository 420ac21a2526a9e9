"""What ends a link, and what is said when the agent ends it."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from domain.errors import TransportLost, TransportRefused

STOPPING: Final = "the agent is stopping"


Loss = TransportLost | TransportRefused


def first_loss(group: BaseExceptionGroup[Loss]) -> Loss:
    """The loss that ended the tasks of a link; the others lost it too."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, Loss)
    return found


async def forever() -> NoReturn:
    """Wait inside a group of tasks for its end, and not behind it.

    Only so a group takes back the cancellation by which it ends itself, and `Task.cancelling` tells
    whether there was another one.
    """
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody sets it")
