"""The client of the API, on a real control plane."""

from __future__ import annotations

import pytest

from tests.integration.cli.rig import Rig
from tests.unit.cli.api_contract import ApiContract


class TestRealApi(ApiContract):
    @pytest.fixture
    def subject(self, rig: Rig) -> Rig:
        return rig
