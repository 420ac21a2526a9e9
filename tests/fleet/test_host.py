"""What simulated hosts keep and do, without any link."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from tests.fleet.host import SimulatedHost, Verdict
from tests.fleet.ledger import Ledger
from tests.fleet.memory import Memory
from tests.fleet.plane_frames import Message
from tests.fleet.printing import printed, sha256_of
from tests.fleet.scripts import SCRIPTS, JobPlan, Outcome, Script, always


def host(script: Script | JobPlan | None = None) -> SimulatedHost:
    plan = script if callable(script) else always(script or JobPlan())
    return SimulatedHost(Memory(), Ledger("one"), plan)


def deploy(job_id: str, project: str = "blog", **fields: Any) -> Message:
    payload = {"project_name": project, "compose_file_base64": "YQ=="}
    return {"id": job_id, "type": "DEPLOY_COMPOSE", "payload": payload, **fields}


def take(one: SimulatedHost, command: Message) -> Verdict:
    verdict = one.take(command)
    one.advance()
    return verdict


def states(one: SimulatedHost) -> dict[str, str]:
    return {job.job_id: job.state for job in one.memory.jobs.values()}


def test_a_job_is_done_once_and_its_id_is_taken_for_ever() -> None:
    one = host()

    assert not take(one, deploy("a")).is_repeat
    assert take(one, deploy("a")).is_repeat
    assert take(one, deploy("a", project="shop")).reason == "conflict"
    deed = one.ledger.deeds["a"]
    assert (deed.commands, deed.begun, deed.state) == (3, 1, "succeeded")


def test_newer_credentials_make_no_other_command() -> None:
    one = host()
    take(one, deploy("a"))
    again = deploy("a")
    again["payload"]["registry_auth"] = {"docker.io": {"username": "u", "password": "p"}}

    assert take(one, again).is_repeat


def test_a_generation_that_is_not_above_is_refused() -> None:
    one = host()
    take(one, deploy("a", project="Blog", generation=2))

    assert take(one, deploy("b", generation=2)).reason == "stale_generation"
    assert take(one, deploy("c", generation=3)).job is not None
    assert one.memory.generations == {"blog": 3}


def test_jobs_of_a_project_wait_for_each_other_and_newer_deployments_supersede() -> None:
    one = host(JobPlan(Outcome.WAIT))
    for job_id in ("a", "b", "c"):
        take(one, deploy(job_id))
    take(one, deploy("d", project="shop"))

    assert states(one) == {"a": "running", "b": "superseded", "c": "accepted", "d": "running"}
    assert one.memory.jobs["b"].result is not None
    assert one.memory.jobs["b"].result["data"]["superseded_by"] == "c"
    one.release()
    one.release()
    assert states(one) == dict.fromkeys("acd", "succeeded") | {"b": "superseded"}
    assert one.ledger.deeds["b"].begun == 0


def test_over_v1_nothing_is_superseded() -> None:
    one = host(JobPlan(Outcome.WAIT))
    for job_id in ("a", "b", "c"):
        one.take(deploy(job_id), is_plain=True)
        one.advance()

    assert states(one) == {"a": "running", "b": "accepted", "c": "accepted"}


def test_a_job_is_canceled_before_and_while_it_runs_and_not_afterwards() -> None:
    one = host(JobPlan(Outcome.HANG))
    take(one, deploy("a"))
    take(one, deploy("b", project="shop"))
    one.take(deploy("c", project="shop"))
    for job_id in ("c", "a", "a", "nobody"):
        one.cancel(job_id)

    assert states(one) == {"a": "canceled", "b": "running", "c": "canceled"}
    assert one.ledger.deeds["c"].begun == 0


def test_what_ends_is_told_with_what_was_printed() -> None:
    one = host(JobPlan(Outcome.FAIL, output_bytes=1000, reason="pull_failed"))
    take(one, deploy("a"))

    (result,) = [n for n in one.memory.notices.values() if n.get("final")]
    (output,) = result["output"]
    content = printed("a", 0, 1000)
    assert (result["status"], result["state"], result["data"]["reason"]) == (
        "FAILED",
        "failed",
        "pull_failed",
    )
    assert (output["length"], output["sha256"]) == (1000, sha256(content).hexdigest())
    assert one.ledger.deeds["a"].sha256 == output["sha256"]


def test_output_is_the_same_however_it_is_cut() -> None:
    whole = printed("a", 0, 500)

    assert b"".join(printed("a", at, 7) for at in range(0, 500, 7))[:500] == whole
    assert printed("b", 0, 500) != whole
    assert sha256_of("a", 500) == sha256(whole).hexdigest()
    with pytest.raises(UnicodeDecodeError):
        printed("a", 0, 500, is_text=False).decode()


async def test_a_job_takes_its_time_and_goes_on_while_its_agent_is_away() -> None:
    one = host(JobPlan(after_s=0.02, output_bytes=300, chunk_bytes=100))
    over = asyncio.Event()
    told: list[int] = []

    def tell(job: Any) -> None:
        told.append(job.printed)
        if job.is_over:
            over.set()

    one.told = tell
    take(one, deploy("a"))
    assert states(one) == {"a": "running"}
    one.pause()
    one.resume()
    async with asyncio.timeout(10):
        await over.wait()
    assert told == [100, 200, 300, 300]
    assert one.ledger.deeds["a"].begun == 1


async def test_a_deadline_ends_what_runs_and_what_waits() -> None:
    one = host(JobPlan(Outcome.HANG))
    over = asyncio.Event()
    one.told = lambda job: over.set() if job.job_id == "b" else None
    take(one, deploy("a", deadline_s=0.001))
    take(one, deploy("b", deadline_s=0.01))
    async with asyncio.timeout(10):
        await over.wait()
    deeds = one.ledger.deeds
    assert (deeds["a"].state, deeds["a"].reason) == ("failed", "deadline")
    assert deeds["b"].state in ("failed", "expired")


def test_a_memory_comes_back_from_its_file_as_it_was() -> None:
    one = host(JobPlan(Outcome.WAIT, output_bytes=10))
    take(one, deploy("a", generation=4))
    one.memory.tell({"type": "ACCEPT", "job_id": "a", "state": "accepted"})

    assert Memory.from_json(one.memory.to_json()) == one.memory


def test_a_new_epoch_of_either_side_numbers_anew_what_has_to_be_told() -> None:
    one = host()
    for job_id in ("a", "b"):
        take(one, deploy(job_id, project=job_id))
    memory, epoch = one.memory, one.memory.epoch
    memory.heard = 2
    memory.confirm(1)  # The result of `a`.

    memory.begin_epoch()
    assert memory.epoch != epoch
    assert (memory.heard, memory.confirmed) == (0, 0)
    assert [n["job_id"] for n in memory.notices.values()] == ["b"]
    memory.meet("another")
    assert [(seq, n["job_id"]) for seq, n in memory.notices.items()] == [(1, "a"), (2, "b")]


def test_results_that_nobody_needs_are_forgotten_and_ids_are_not() -> None:
    one = host()
    take(one, deploy("a"))
    one.memory.confirm(1, prune_below=2)
    one.memory.meet("another")

    assert one.memory.notices == {}
    assert take(one, deploy("a")).is_repeat


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_plans_the_same_job_alike(name: str) -> None:
    script = SCRIPTS[name]

    assert [script(f"job-{n}", "STATUS") for n in range(50)] == [
        script(f"job-{n}", "STATUS") for n in range(50)
    ]


def test_the_mixed_script_has_everything_in_it() -> None:
    plans = [SCRIPTS["mixed"](f"job-{n}", "DEPLOY_COMPOSE") for n in range(1000)]

    assert {plan.outcome for plan in plans} == {Outcome.SUCCEED, Outcome.FAIL, Outcome.REJECT}
    assert len({plan.leave.at for plan in plans if plan.leave is not None}) == 4
