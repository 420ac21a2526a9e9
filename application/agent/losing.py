"""What ends a link, and what is said when the agent ends it."""

from __future__ import annotations

from typing import Final

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
