"""What every `HostIdentity` must do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from application.ports.identity import HostIdentity
from domain.errors import NoSpace
from domain.identity import Membership, encoded, key_of, signature_of

MEMBER = Membership("host_1", encoded(bytes(range(32))))
OTHER = Membership("host_2", encoded(bytes(32)))


class HostIdentityContract:
    """Give the `identity`; `again` is what a new process finds, `fill_disk` has writes fail."""

    @pytest.fixture
    def identity(self) -> HostIdentity:
        raise NotImplementedError

    @pytest.fixture
    def again(self) -> Callable[[], HostIdentity]:
        raise NotImplementedError

    @pytest.fixture
    def fill_disk(self) -> Callable[[], None]:
        raise NotImplementedError

    def test_it_has_a_key_from_the_beginning(self, identity: HostIdentity) -> None:
        assert key_of(identity.public_key) is not None
        assert identity.membership is None

    def test_the_key_stays(self, identity: HostIdentity, again: Callable[[], HostIdentity]) -> None:
        assert again().public_key == identity.public_key

    def test_what_it_signs_is_signed_by_its_key_alone(self, identity: HostIdentity) -> None:
        signature = identity.sign(b"text")
        assert signature_of(signature) is not None
        assert identity.is_signed(b"text", signature, identity.public_key)
        assert not identity.is_signed(b"text", signature, encoded(bytes(range(32))))
        assert not identity.is_signed(b"another", signature, identity.public_key)
        assert not identity.is_signed(b"text", "", identity.public_key)
        assert not identity.is_signed(b"text", signature, "")

    async def test_what_is_pinned_stays(
        self, identity: HostIdentity, again: Callable[[], HostIdentity]
    ) -> None:
        await identity.pin(MEMBER)
        assert identity.membership == MEMBER
        assert again().membership == MEMBER
        assert again().public_key == identity.public_key

    async def test_what_is_pinned_last_counts(
        self, identity: HostIdentity, again: Callable[[], HostIdentity]
    ) -> None:
        await identity.pin(OTHER)
        await identity.pin(MEMBER)
        assert again().membership == MEMBER

    async def test_where_there_is_no_room_nothing_changes(
        self,
        identity: HostIdentity,
        again: Callable[[], HostIdentity],
        fill_disk: Callable[[], None],
    ) -> None:
        await identity.pin(MEMBER)
        fill_disk()
        with pytest.raises(NoSpace):
            await identity.pin(OTHER)
        assert identity.membership == MEMBER
        assert again().membership == MEMBER
