"""What every `RegistryNames` must do."""

from __future__ import annotations

import pytest

from application.ports.registry_names import RegistryNames
from domain.errors import StorageUnavailable


class RegistryNamesContract:
    """Give the `names` of a host that is logged in at `a.example`, and whose helper `here` is there.

    `none` has no configuration, and `hidden` one that cannot be read.
    """

    @pytest.fixture
    def names(self) -> RegistryNames:
        raise NotImplementedError

    @pytest.fixture
    def none(self) -> RegistryNames:
        raise NotImplementedError

    @pytest.fixture
    def hidden(self) -> RegistryNames:
        raise NotImplementedError

    def test_registries_and_helpers_are_named(self, names: RegistryNames) -> None:
        found = names.read()
        assert found is not None
        assert list(found.registries) == ["a.example"]
        assert list(found.helpers) == ["docker-credential-here"]
        assert list(found.missing_helpers) == []
        assert found.malformed == ""

    def test_no_configuration_is_none(self, none: RegistryNames) -> None:
        assert none.read() is None

    def test_one_that_cannot_be_read_is_said(self, hidden: RegistryNames) -> None:
        with pytest.raises(StorageUnavailable):
            hidden.read()
