"""Where the two ends of a link stand when they meet again: what each remembers of the other."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from domain.fleet.link_state import LinkState
from domain.link_messages import Hello

MORE_THAN_EVER_SENT: Final = 2**63 - 1
"""As `last_seq_seen` of a WELCOME: no agent has sent so much, so it takes it that one of the two has
lost its memory, begins a new epoch, and connects again."""


class Meeting(Enum):
    """How it goes on."""

    RESUME = auto()
    """Both remember the sequence that they were in."""
    ANEW = auto()
    """One of them is another one than last time: both directions count from 1."""
    FORGOTTEN = auto()
    """Both say that they are who they were, and contradict each other; the agent has to begin anew."""


def meeting(hello: Hello, link: LinkState, epoch: str) -> Meeting:
    """What a Hello means for a host of which `link` is known, in a database of that epoch."""
    if (hello.epoch, hello.peer_epoch) == (link.agent_epoch, epoch):
        if link.confirmed <= hello.last_seq_seen < link.next_seq:
            return Meeting.RESUME
        return Meeting.FORGOTTEN
    if hello.peer_epoch == epoch and hello.last_seq_seen:
        # It counts within this epoch, and nothing is known of that here: it would take what we send
        # from number 1 on for repeats.
        return Meeting.FORGOTTEN
    return Meeting.ANEW
