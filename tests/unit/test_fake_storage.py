"""The fakes of what lies in the state directory keep the contracts that the real adapters keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from application.ports.private_parts import PrivateParts
from application.ports.registry_logins import RegistryLogins
from application.ports.revision_store import RevisionStore
from domain.commands import RegistryLogin
from tests.contracts.private_parts import PrivatePartsContract
from tests.contracts.registry_logins import HOSTS_OWN, RegistryLoginsContract
from tests.contracts.revision_store import KEPT, RevisionStoreContract
from tests.fakes.private_parts import FakePrivateParts
from tests.fakes.registry_logins import FakeRegistryLogins
from tests.fakes.revision_store import FakeRevisionStore


def fill(fake: FakeRevisionStore | FakePrivateParts | FakeRegistryLogins) -> Callable[[], None]:
    def set_full() -> None:
        fake.is_full = True

    return set_full


class TestFakeRevisionStore(RevisionStoreContract):
    @pytest.fixture
    def fake(self) -> FakeRevisionStore:
        return FakeRevisionStore(KEPT)

    @pytest.fixture
    def store(self, fake: FakeRevisionStore) -> RevisionStore:
        return fake

    @pytest.fixture
    def contents(self, fake: FakeRevisionStore) -> Callable[[], int]:
        return lambda: sum(map(len, fake.contents.values()))

    @pytest.fixture
    def fill_disk(self, fake: FakeRevisionStore) -> Callable[[], None]:
        return fill(fake)

    @pytest.fixture
    def spoil_content(self, fake: FakeRevisionStore) -> Callable[[str], None]:
        return fake.spoilt_contents.add

    @pytest.fixture
    def spoil_history(self, fake: FakeRevisionStore) -> Callable[[str], None]:
        return fake.spoilt_histories.add


class TestFakePrivateParts(PrivatePartsContract):
    @pytest.fixture
    def fake(self) -> FakePrivateParts:
        return FakePrivateParts()

    @pytest.fixture
    def parts(self, fake: FakePrivateParts) -> PrivateParts:
        return fake

    @pytest.fixture
    def held(self, fake: FakePrivateParts) -> Callable[[], int]:
        return lambda: len(fake.kept)

    @pytest.fixture
    def fill_disk(self, fake: FakePrivateParts) -> Callable[[], None]:
        return fill(fake)

    @pytest.fixture
    def spoil(self, fake: FakePrivateParts) -> Callable[[str], None]:
        return fake.spoilt.add


class TestFakeRegistryLogins(RegistryLoginsContract):
    @pytest.fixture
    def fake(self) -> FakeRegistryLogins:
        return FakeRegistryLogins(RegistryLogin(HOSTS_OWN, "host", "host's"))

    @pytest.fixture
    def logins(self, fake: FakeRegistryLogins) -> RegistryLogins:
        return fake

    @pytest.fixture
    def found(self, fake: FakeRegistryLogins) -> Callable[[str], Mapping[str, tuple[str, str]]]:
        return lambda path: {
            registry: (login.username, login.password)
            for registry, login in fake.directories[path].items()
        }

    @pytest.fixture
    def held(self, fake: FakeRegistryLogins) -> Callable[[], int]:
        return lambda: len(fake.directories)

    @pytest.fixture
    def fill_disk(self, fake: FakeRegistryLogins) -> Callable[[], None]:
        return fill(fake)
