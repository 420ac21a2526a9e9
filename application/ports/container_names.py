"""Repairs what a killed `docker compose up` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from domain.project import ProjectName


class ContainerNames(Protocol):
    """The names of a project's containers on the engine.

    To recreate a container, Compose makes the new one as `<12 hex digits>_<name>`, removes the old
    one, and renames the new. Killed in between, it leaves a container under that name: the next `up`
    fails with a conflict, or ends well and leaves the name wrong for good.
    """

    async def settle(self, name: ProjectName) -> None:
        """Come back when the engine has come to rest with the project's containers.

        What a Compose that was killed had asked for, the engine still does. So this comes before
        `put_right` where a step was interrupted; elsewhere it only takes time (a second or so).
        Raises as `put_right` does.
        """
        ...

    async def put_right(self, name: ProjectName) -> Sequence[str]:
        """Rename such containers to their proper name, or remove them where that is taken.

        What the engine has removed by half is removed wholly, so that its name is free.
        Returns a sentence for each, none where all was right. Touches only containers that carry the
        project's Compose labels. Again is harmless. Raises `RuntimeUnavailable` where the engine does
        not answer or refuses.
        """
        ...

    async def half_removed(self, name: ProjectName) -> Sequence[str]:
        """The names of the project's containers that the engine began to remove and still has.

        Where Compose has failed these tell why: a removal that fails at one moment, because
        something was still writing to the container's files, succeeds at the next
        (https://github.com/moby/moby/issues/22734). `put_right` does it. Raises as `put_right`.
        """
        ...

    async def rename(self, name: ProjectName, proper: Mapping[str, str]) -> Sequence[str]:
        """Give containers of the project, by id, these names: somebody has given them others.

        Returns a sentence for each that has its name now. One that is gone, that is not the
        project's, or whose name is taken stays as it is. Again is harmless. Raises as `put_right`.
        """
        ...
