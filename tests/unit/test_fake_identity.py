"""The fake keeps the contract of a host's identity."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from application.ports.identity import HostIdentity
from domain.errors import NoSpace
from tests.contracts.host_identity import HostIdentityContract
from tests.fakes.identity import FakeHostIdentity


class TestFakeHostIdentity(HostIdentityContract):
    @pytest.fixture
    def identity(self) -> HostIdentity:
        return FakeHostIdentity()

    @pytest.fixture
    def again(self, identity: HostIdentity) -> Callable[[], HostIdentity]:
        assert isinstance(identity, FakeHostIdentity)
        return lambda: FakeHostIdentity(membership=identity.membership)

    @pytest.fixture
    def fill_disk(self, identity: HostIdentity) -> Callable[[], None]:
        assert isinstance(identity, FakeHostIdentity)
        return lambda: identity.failures.append(NoSpace("full"))
