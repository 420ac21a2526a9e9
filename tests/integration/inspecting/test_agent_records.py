"""What an agent has on its disk, read while another process holds it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.filesystem.instance_lock import InstanceLock
from adapters.filesystem.lock_holder import holder_of
from adapters.filesystem.revision_store import LocalRevisionStore
from adapters.identity.ed25519 import find_ed25519
from adapters.identity.keys_on_disk import HOST_KEY_FILE, LocalHostIdentity
from adapters.journal.durable_journal import DurableJobJournal
from adapters.journal.reading import read_jobs
from application.ports.agent_records import AgentRecords
from application.ports.job_journal import Compaction
from domain.content import ProjectContent
from domain.deploy_options import PLAINLY
from domain.errors import StorageUnavailable
from domain.identity import Membership
from domain.job import JobState
from domain.project import ComposeFile, ProjectName
from domain.records import JobAccepted, JobFinished, Moment
from domain.revision import Draft
from entrypoints.agent.commands.looking import records_of
from entrypoints.agent.settings import AgentSettings
from tests.builders import compose_content, stop
from tests.contracts.agent_records import AgentRecordsContract

NOBODY = 65534
CONTROL_PLANE_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
ACCEPTED = JobAccepted("job-1", stop(), "digest", Moment("boot", 1.0), project="blog")


def settings_of(home: Path) -> AgentSettings:
    return AgentSettings(state_dir=home / "state", projects_dir=home / "projects")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
async def journal(tmp_path: Path, executor: ThreadPoolExecutor) -> AsyncIterator[DurableJobJournal]:
    """One that is open, and has a job."""
    journal = DurableJobJournal(tmp_path / "state", executor)
    await journal.open(lambda _: None)
    await journal.append(ACCEPTED)
    yield journal
    await journal.close()


@pytest.fixture
async def home(
    tmp_path: Path, executor: ThreadPoolExecutor, journal: DurableJobJournal
) -> AsyncIterator[Path]:
    """What an agent has that runs, which is this process."""
    state = tmp_path / "state"
    lock = InstanceLock(state)
    lock.acquire()
    identity = LocalHostIdentity(state, find_ed25519(), executor)
    await identity.pin(Membership("host_1", CONTROL_PLANE_KEY))
    (tmp_path / "projects" / "blog").mkdir(parents=True)
    (tmp_path / "projects" / "blog" / "docker-compose.yml").write_bytes(compose_content())
    store = LocalRevisionStore(state, executor)
    await store.reserve()
    content = ProjectContent(ComposeFile(compose_content()))
    name = ProjectName("blog")
    await store.add(name, Draft("job-0", content, PLAINLY, 0.0))
    await store.want(name, 1)
    yield tmp_path
    assert lock is not None


class TestLocalAgentRecords(AgentRecordsContract):
    @pytest.fixture
    def records(self, home: Path) -> AgentRecords:
        return records_of(settings_of(home))

    @pytest.fixture
    def hidden_records(self, home: Path) -> Iterator[AgentRecords]:
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody else")
        os.seteuid(NOBODY)
        try:
            yield records_of(settings_of(home))
        finally:
            os.seteuid(0)


def _picture(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (found.st_ino, found.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
        for found in [path.lstat()]
    }


def test_nothing_is_written_and_no_lock_is_taken(home: Path) -> None:
    before = _picture(home)
    records = records_of(settings_of(home))
    for _ in range(2):
        records.membership(), records.jobs(), records.projects(), records.histories()
        assert records.running_pid() == os.getpid()
    assert _picture(home) == before


def test_a_directory_that_nobody_has_locked_has_no_agent(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    (tmp_path / "agent.lock").touch()
    assert holder_of(tmp_path) is None


def test_an_agent_that_never_ran_has_nothing(tmp_path: Path) -> None:
    records = records_of(settings_of(tmp_path))
    assert records.membership() is None
    assert records.jobs().ledger.jobs == {}
    assert list(records.projects()) == []
    assert records.histories() == {}
    assert records.running_pid() is None
    assert list(tmp_path.iterdir()) == []


async def test_what_is_appended_meanwhile_is_seen_at_the_next_look(
    tmp_path: Path, journal: DurableJobJournal
) -> None:
    state = tmp_path / "state"
    assert [job.job_id for job in read_jobs(state).ledger.open_jobs()] == ["job-1"]
    await journal.append(JobFinished("job-1", JobState.SUCCEEDED, "", "", {}, 1.0))
    kept = read_jobs(state)
    assert kept.ledger.jobs["job-1"].state is JobState.SUCCEEDED
    assert kept.commands == {"job-1": "STOP_COMPOSE"}
    await journal.compact(lambda: Compaction([ACCEPTED], []))
    assert [job.job_id for job in read_jobs(state).ledger.open_jobs()] == ["job-1"]


async def test_a_record_that_is_only_half_there_is_none_yet(
    tmp_path: Path, journal: DurableJobJournal
) -> None:
    state = tmp_path / "state"
    whole = (state / "journal").read_bytes()
    await journal.append(JobFinished("job-1", JobState.FAILED, "", "", {}, 1.0))
    used = len((state / "journal").read_bytes().rstrip(b"\0"))
    torn = tmp_path / "torn"
    torn.mkdir()
    content = (state / "journal").read_bytes()[: used - 20] + bytes(4096)
    (torn / "journal").write_bytes(content)
    assert len(whole)
    assert [job.job_id for job in read_jobs(torn).ledger.open_jobs()] == ["job-1"]
    assert (torn / "journal").read_bytes() == content


def test_a_key_that_makes_no_sense_is_said_without_its_content(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.state_dir.mkdir()
    (settings.state_dir / HOST_KEY_FILE).write_text('{"secret_key": "s3cr3t"')
    with pytest.raises(StorageUnavailable, match="is damaged") as raised:
        records_of(settings).membership()
    assert "s3cr3t" not in str(raised.value)


def test_a_history_that_is_spoilt_is_told_and_left_as_it_is(home: Path) -> None:
    history = home / "state" / "revisions" / "blog" / "history.json"
    history.write_text("spoilt")
    before = _picture(home)
    assert records_of(settings_of(home)).histories() == {"blog": None}
    assert _picture(home) == before
