"""What runs the steps of a job, and outlives the agent while it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from domain.project import Project
from domain.records import ProcessIdentity, StepExit


class ComposeAction(StrEnum):
    """What can be done with a project. All of it again is harmless, but for RESTART."""

    PULL = "pull"
    """Fetch images, those of `services` only where any is named; touches nothing that runs."""
    BUILD = "build"
    """Build the images that have a build section; touches nothing that runs."""
    UNPAUSE = "unpause"
    """Let those of `containers` go on that somebody has paused: Compose cannot bring them up.

    It fails where one of them is not paused any more, and lets the others go on all the same.
    """
    UP = "up"
    """Make the engine run what the compose file says, of images that it has."""
    RESTART = "restart"
    """Stop and start containers, of `services` only where any is named."""
    DOWN = "down"
    """Remove the project's containers and networks, not its volumes."""
    REMOVE = "remove"
    """Remove them, and the project's volumes too."""


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """How an action is carried out. `docker_config` is a directory with credentials for registries.

    `containers` are the engine's ids.
    """

    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    remove_orphans: bool = False
    docker_config: str = ""


AS_IT_IS: Final = ComposeOptions()


class RunningStep(Protocol):
    """A step that was started, in this life of the agent or an earlier one; it may be over already.

    Nothing here ends it but `end`: cancelling a call leaves the step alone.
    """

    @property
    def process(self) -> ProcessIdentity:
        """Who carries it out."""
        ...

    async def wait(self) -> StepExit | None:
        """Wait until it is over and no process of it is left.

        None where it was interrupted: it died and recorded no exit. Again gives the same answer.
        Raises `StorageUnavailable` where the disk does not tell.
        """
        ...

    async def end(self, why: str) -> None:
        """End it, gently and soon forcibly (within 20 s); `wait` tells how that went.

        `why` (`cancel`, `deadline`) becomes `StepExit.ended_by`, unless it had ended by itself before.
        Harmless when it is over, and a second time.
        """
        ...

    async def output(self, offset: int, limit: int) -> tuple[int, bytes]:
        """What it has printed from byte `offset` on, up to `limit` bytes of it.

        Returns the offset of the first byte returned, which is higher than what was asked for where
        bytes were not kept, and the bytes: none where there are none yet, or no more.
        """
        ...


class ComposeExecutor(Protocol):
    """Starts `docker compose` under a supervisor of its own, which the agent's death leaves alone.

    A token is the caller's, random, `[0-9a-f]{32}`, and names one start for ever. Only one step of a
    project runs at a time on one engine, whoever starts it: another one waits for its turn.
    """

    async def boot_id(self) -> str:
        """Which boot of the machine this is."""
        ...

    async def start(
        self,
        token: str,
        action: ComposeAction,
        project: Project,
        *,
        deadline_s: float,
        options: ComposeOptions = AS_IT_IS,
    ) -> RunningStep:
        """Start a step; after `deadline_s` it ends itself, with `ended_by` `deadline`.

        Raises `RuntimeUnavailable` where no process can be started, `StorageUnavailable` (`NoSpace`)
        where there is no room for what it prints, `Conflict` where the token was used before, or was
        looked for in vain; nothing runs then. Cancelled, it may run or not: `find` tells.
        """
        ...

    async def find(self, token: str) -> RunningStep | None:
        """The step that was started under the token, also in an earlier life of the agent.

        None where none was: then none ever will be, even if its start was under way.
        """
        ...

    async def discard(self, token: str) -> None:
        """Forget the output and the exit of a step that is over. Harmless when there is nothing.

        Raises `Conflict` where it is not over.
        """
        ...

    async def known_tokens(self) -> frozenset[str]:
        """All tokens of which something is kept, so that what nobody needs can be discarded."""
        ...
