"""The control plane's database in memory, with the same three stores."""

from __future__ import annotations

from application.ports.access_tokens import AccessToken
from tests.fakes.fleet_hosts import FakeHostDirectory
from tests.fakes.fleet_jobs import FakeJobStore
from tests.fakes.fleet_state import FleetState, Reach


class FakeAccessTokens:
    """See `AccessTokens`."""

    def __init__(self, state: FleetState, reach: Reach) -> None:
        self._state = state
        self._reach = reach

    async def has_any(self) -> bool:
        """See `AccessTokens`."""
        await self._reach()
        return bool(self._state.tokens)

    async def add_first(self, token: AccessToken, token_hash: str) -> bool:
        """See `AccessTokens`."""
        await self._reach()
        if self._state.tokens:
            return False
        self._state.tokens[token_hash] = token
        return True

    async def with_hash(self, token_hash: str) -> AccessToken | None:
        """See `AccessTokens`."""
        await self._reach()
        return self._state.tokens.get(token_hash)

    async def replace_all(self, token: AccessToken, token_hash: str) -> None:
        """See `AccessTokens`."""
        await self._reach()
        self._state.tokens.clear()
        self._state.tokens[token_hash] = token


class FakeFleet:
    """Give another one the same `state` to have the program start again on its database.

    `reach` is how to have the database hang, or fail; see there.
    """

    def __init__(self, state: FleetState | None = None) -> None:
        self.state = FleetState() if state is None else state
        self.reach = Reach()
        self.hosts = FakeHostDirectory(self.state, self.reach)
        self.jobs = FakeJobStore(self.state, self.reach)
        self.tokens = FakeAccessTokens(self.state, self.reach)
