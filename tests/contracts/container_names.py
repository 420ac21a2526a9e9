"""What every `ContainerNames` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.ports.container_names import ContainerNames
from domain.errors import RuntimeUnavailable
from domain.project import ProjectName

REST_S = 5.0
Leave = Callable[[ProjectName], Awaitable[str]]
"""Leaves what a killed recreation of `web` leaves, and gives the name of that container."""
RenameByHand = Callable[[ProjectName, str], str]
"""Gives the container of `web` another name, and tells its id."""


class ContainerNamesContract:
    """Give the `names`, `absent_names` whose engine is down, and `name`: a project that runs `web`.

    `other_name` is another one like it. `leave_new_alone` leaves a new container whose old one is
    gone, `leave_both` one beside the old one. `names_of` gives the names of a project's containers,
    and `rename_by_hand` changes one.
    """

    @pytest.fixture
    def names(self) -> ContainerNames:
        raise NotImplementedError

    @pytest.fixture
    def absent_names(self) -> ContainerNames:
        raise NotImplementedError

    @pytest.fixture
    async def name(self) -> ProjectName:
        raise NotImplementedError

    @pytest.fixture
    async def other_name(self) -> ProjectName:
        raise NotImplementedError

    @pytest.fixture
    def leave_new_alone(self) -> Leave:
        raise NotImplementedError

    @pytest.fixture
    def leave_both(self) -> Leave:
        raise NotImplementedError

    @pytest.fixture
    def remove_by_half(self) -> Leave:
        """Has the engine fail in the middle of removing the container of `web`, this once."""
        raise NotImplementedError

    @pytest.fixture
    def names_of(self) -> Callable[[ProjectName], list[str]]:
        raise NotImplementedError

    @pytest.fixture
    def rename_by_hand(self) -> RenameByHand:
        raise NotImplementedError

    async def test_where_all_is_right_nothing_is_changed(
        self,
        names: ContainerNames,
        name: ProjectName,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        assert list(await names.put_right(name)) == []
        assert names_of(name) == [web_of(name)]

    async def test_a_project_without_containers_is_right(self, names: ContainerNames) -> None:
        assert list(await names.put_right(ProjectName("idtest-none"))) == []

    async def test_a_new_container_whose_old_one_is_gone_gets_its_name(
        self,
        names: ContainerNames,
        name: ProjectName,
        leave_new_alone: Leave,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        wrong = await leave_new_alone(name)
        assert names_of(name) == [wrong]
        (said,) = await names.put_right(name)
        assert said == f"renamed the container {wrong} to {web_of(name)}"
        assert names_of(name) == [web_of(name)]
        assert list(await names.put_right(name)) == []

    async def test_a_new_container_beside_the_old_one_is_removed(
        self,
        names: ContainerNames,
        name: ProjectName,
        leave_both: Leave,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        wrong = await leave_both(name)
        assert names_of(name) == sorted([wrong, web_of(name)])
        (said,) = await names.put_right(name)
        assert said == f"removed the unfinished container {wrong} beside {web_of(name)}"
        assert names_of(name) == [web_of(name)]
        assert list(await names.put_right(name)) == []

    async def test_one_that_the_engine_has_removed_by_half_is_found_and_removed(
        self,
        names: ContainerNames,
        name: ProjectName,
        other_name: ProjectName,
        remove_by_half: Leave,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        assert list(await names.half_removed(name)) == []
        going = await remove_by_half(name)
        assert list(await names.half_removed(name)) == [going]
        assert list(await names.half_removed(other_name)) == []
        (said,) = await names.put_right(name)
        assert said == f"removed the container {going}, which was removing"
        assert list(await names.half_removed(name)) == names_of(name) == []

    async def test_other_projects_are_left_alone(
        self,
        names: ContainerNames,
        name: ProjectName,
        other_name: ProjectName,
        leave_new_alone: Leave,
        leave_both: Leave,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        wrong = await leave_new_alone(other_name)
        await leave_both(name)
        await names.put_right(name)
        assert names_of(other_name) == [wrong]

    async def test_one_that_was_renamed_by_hand_gets_the_name_that_it_is_given(
        self,
        names: ContainerNames,
        name: ProjectName,
        rename_by_hand: RenameByHand,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        wrong = f"{name.compose_name}-by-hand"
        own = rename_by_hand(name, wrong)
        assert list(await names.put_right(name)) == []
        proper = {own: web_of(name), "f" * 64: "idtest-gone"}
        (said,) = await names.rename(name, proper)
        assert said == f"renamed the container {wrong} to {web_of(name)}"
        assert names_of(name) == [web_of(name)]
        assert list(await names.rename(name, proper)) == []

    async def test_a_name_that_is_taken_is_taken_from_nobody(
        self,
        names: ContainerNames,
        name: ProjectName,
        other_name: ProjectName,
        rename_by_hand: RenameByHand,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        wrong = f"{name.compose_name}-by-hand"
        own = rename_by_hand(name, wrong)
        assert list(await names.rename(name, {own: web_of(other_name)})) == []
        # Nor is a container of another project renamed.
        assert list(await names.rename(other_name, {own: web_of(name)})) == []
        assert names_of(name) == [wrong]
        assert names_of(other_name) == [web_of(other_name)]

    async def test_an_engine_that_is_down_is_said(self, absent_names: ContainerNames) -> None:
        for call in (absent_names.put_right, absent_names.settle, absent_names.half_removed):
            with pytest.raises(RuntimeUnavailable):
                await call(ProjectName("idtest-none"))
        with pytest.raises(RuntimeUnavailable):
            await absent_names.rename(ProjectName("idtest-none"), {"f" * 64: "idtest-none-web-1"})

    async def test_a_project_at_rest_is_not_waited_for_long_and_left_as_it_is(
        self,
        names: ContainerNames,
        name: ProjectName,
        names_of: Callable[[ProjectName], list[str]],
    ) -> None:
        async with asyncio.timeout(REST_S):
            await names.settle(name)
            await names.settle(ProjectName("idtest-none"))
        assert names_of(name) == [web_of(name)]


def web_of(name: ProjectName) -> str:
    """The name that Compose gives the container of `web`."""
    return f"{name.compose_name}-web-1"
