"""What every `RegistryLogins` must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from application.ports.registry_logins import RegistryLogins
from domain.commands import RegistryLogin
from domain.errors import NoSpace

HOSTS_OWN = "registry.example.com"
OTHER = "other.example.com:5000"
OWN = RegistryLogin(HOSTS_OWN, "job", "job's")
LOGINS = (OWN, RegistryLogin(OTHER, "ann", "ö:\n"))


class RegistryLoginsContract:
    """Give the `logins` of a host that is logged in to `HOSTS_OWN` itself, as `host`, `host's`.

    `found` says which user name and password a directory gives for each registry; `held` counts what
    lies there; `fill_disk` has writes fail from then on.
    """

    @pytest.fixture
    def logins(self) -> RegistryLogins:
        raise NotImplementedError

    @pytest.fixture
    def found(self) -> Callable[[str], Mapping[str, tuple[str, str]]]:
        raise NotImplementedError

    @pytest.fixture
    def held(self) -> Callable[[], int]:
        raise NotImplementedError

    @pytest.fixture
    def fill_disk(self) -> Callable[[], None]:
        raise NotImplementedError

    async def test_the_hosts_own_logins_are_found(
        self, logins: RegistryLogins, found: Callable[[str], Mapping[str, tuple[str, str]]]
    ) -> None:
        assert found(await logins.provide("job-1", ())) == {HOSTS_OWN: ("host", "host's")}
        added = await logins.provide("job-2", LOGINS[1:])
        assert found(added) == {HOSTS_OWN: ("host", "host's"), OTHER: ("ann", "ö:\n")}

    async def test_the_jobs_own_count_above_the_hosts(
        self, logins: RegistryLogins, found: Callable[[str], Mapping[str, tuple[str, str]]]
    ) -> None:
        expected = {HOSTS_OWN: ("job", "job's"), OTHER: ("ann", "ö:\n")}
        assert found(await logins.provide("job-1", LOGINS)) == expected

    async def test_again_gives_the_same_directory_with_the_same_content(
        self,
        logins: RegistryLogins,
        found: Callable[[str], Mapping[str, tuple[str, str]]],
        held: Callable[[], int],
    ) -> None:
        first = await logins.provide("job-1", LOGINS)
        before = found(first)
        assert await logins.provide("job-1", LOGINS) == first
        assert found(first) == before
        assert await logins.provide("job-2", ()) != first
        assert held() == 2

    async def test_what_is_wiped_is_gone_and_again_is_harmless(
        self, logins: RegistryLogins, held: Callable[[], int]
    ) -> None:
        await logins.wipe("job-1")
        await logins.provide("job-1", LOGINS)
        for _ in range(2):
            await logins.wipe("job-1")
            assert held() == 0

    async def test_all_but_some_are_wiped(
        self, logins: RegistryLogins, held: Callable[[], int]
    ) -> None:
        await logins.wipe_all_but([])
        for number in range(4):
            await logins.provide(f"job-{number}", LOGINS)
        await logins.wipe_all_but(iter(["job-1", "job-9"]))
        assert held() == 1
        await logins.wipe_all_but([])
        assert held() == 0

    async def test_a_full_disk_is_said_and_leaves_nothing(
        self, logins: RegistryLogins, held: Callable[[], int], fill_disk: Callable[[], None]
    ) -> None:
        fill_disk()
        with pytest.raises(NoSpace, match="no space left"):
            await logins.provide("job-1", LOGINS)
        assert held() == 0
