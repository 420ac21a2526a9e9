"""What ends a link, and what is said when the agent ends it."""

from __future__ import annotations

from typing import Final

from domain.errors import TransportLost

STOPPING: Final = "the agent is stopping"


def first_loss(group: BaseExceptionGroup[TransportLost]) -> TransportLost:
    """The loss that ended the tasks of a link; the others lost it too."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, TransportLost)
    return found
