"""The control plane's database in memory, with the same stores."""

from __future__ import annotations

from tests.fakes.fleet_hosts import FakeHostDirectory
from tests.fakes.fleet_jobs import FakeJobStore
from tests.fakes.fleet_people import FakeAuditTrail, FakePeople
from tests.fakes.fleet_state import FleetState, Reach


class FakeFleet:
    """Give another one the same `state` to have the program start again on its database.

    `reach` is how to have the database hang, or fail; see there.
    """

    def __init__(self, state: FleetState | None = None) -> None:
        self.state = FleetState() if state is None else state
        self.reach = Reach()
        self.hosts = FakeHostDirectory(self.state, self.reach)
        self.jobs = FakeJobStore(self.state, self.reach)
        self.people = FakePeople(self.state, self.reach)
        self.audit = FakeAuditTrail(self.state, self.reach)
