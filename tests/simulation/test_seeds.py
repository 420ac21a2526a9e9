"""A thousand simulated lives (`make simulate` lives more), and whether a broken agent is noticed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from application.agent import dispatch, output_pump, step_plan, steps
from application.agent.admission import Admission
from application.agent.going_back import GoingBack, WentBack
from application.agent.rollout import Rollout
from domain import proving, session
from domain.ledger import Ledger
from domain.send_window import SendWindow
from tests.fakes import revision_store
from tests.fakes.identity import FakeHostIdentity
from tests.fakes.private_parts import FakePrivateParts
from tests.fakes.revision_store import FakeRevisionStore
from tests.simulation.compose import SimulatedExecutor
from tests.simulation.disk import SimulatedFiles
from tests.simulation.keeping import Reach
from tests.simulation.run import simulate

SEEDS = 1000
A_CHUNK = 50
UNTIL = 150
"""A broken agent has to be noticed before the seed of this number."""


@pytest.mark.parametrize("first", range(1, SEEDS + 1, A_CHUNK))
def test_every_promise_holds(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + A_CHUNK)]
    failed = {outcome.seed: outcome.failures for outcome in outcomes if outcome.failures}
    assert not failed, f"`make simulate SEEDS={min(failed)}-{min(failed)}` tells what happened"


def test_what_is_said_to_be_in_every_seed_is_in_this_one() -> None:
    counts = simulate(7).counts
    assert counts["jobs"] >= 2
    assert counts["disconnects"] >= 1
    assert counts["duplicates"] >= 1
    assert counts["agents killed"] + counts["power lost"] + counts["control planes crashed"] >= 1


def test_half_of_the_hosts_that_speak_v2_alone_have_a_key() -> None:
    counts = sum((simulate(seed).counts for seed in range(1, 21)), Counter[str]())
    assert 4 <= counts["lives with keys"] <= 10


def test_a_seed_is_always_the_same_life() -> None:
    program = "from tests.simulation.run import simulate; simulate(11, print)"
    lives = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert len(lives[0].splitlines()) > 20
    assert lives[0] == lives[1]


def _nothing(*_args: Any, **_options: Any) -> None:
    return None


async def _nothing_found(*_args: Any, **_options: Any) -> None:
    return None


class _SendsOnce(SendWindow):
    """Takes for sent what an earlier link had, and does not hear that it is missed.

    One of the two is not enough: what a link leaves out is asked for, when more of it comes.
    """

    def resume(self, peer_has: int) -> None:
        super().resume(peer_has)
        self.sent = self.reached = self._ledger.next_seq - 1

    def send_again_from(self, seq: int) -> None:
        """Nothing is."""


async def _not_gone_back(*_args: Any, **_options: Any) -> WentBack:
    return WentBack("it runs again", {"rolled_back_to": None})


def _another_identity() -> FakeHostIdentity:
    return FakeHostIdentity(secrets.token_hex(8))


def _cut_short(chunk: bytes) -> bytes:
    return chunk.replace(b"\n", b" ")


BREAKAGES: dict[str, tuple[object, str, object]] = {
    "nothing is synced": (SimulatedFiles, "sync", _nothing),
    "ids are forgotten": (Admission, "_known", _nothing),
    "a project's jobs do not wait for each other": (dispatch, "project_of", _nothing),
    "generations are forgotten": (Ledger, "_reach", _nothing),
    "what runs is not found again": (SimulatedExecutor, "find", _nothing_found),
    "what was killed is taken for done": (steps, "was_interrupted", lambda _exit: False),
    "what is killed is tried for ever": (step_plan, "ATTEMPTS", 99),
    "what was sent is not sent again": (session, "SendWindow", _SendsOnce),
    "output is changed on its way": (output_pump, "whole_characters", _cut_short),
    "what Compose says is believed": (Rollout, "_judge", _nothing_found),
    "what failed is left as it is": (GoingBack, "undo", _not_gone_back),
    "secrets are not wiped": (FakePrivateParts, "wipe", _nothing_found),
    "revisions are not written down": (FakeRevisionStore, "want", _nothing_found),
    "no room is kept back for revisions": (revision_store, "NOTES", 0),
    "a host makes a key each time": (Reach, "identity", property(lambda _: _another_identity())),
    "what is signed is of no link": (proving, "hello_text", lambda *_fields: b"hello"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_agent_is_noticed(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, name, broken = BREAKAGES[breakage]
    monkeypatch.setattr(place, name, broken)
    assert any(simulate(seed).failures for seed in range(1, UNTIL))
