"""What journals say: the same fact comes back, from every version's files, or the file is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given

from adapters.journal import framing, tombstone_format
from adapters.journal.records import NAMES, DamageNoted, UnknownRecord, decode, encode
from domain.commands import Command
from domain.job import JobState
from domain.records import (
    CancelRequested,
    JobAccepted,
    JobRejected,
    NoticeKind,
    Record,
    Tombstone,
)
from tests.unit.recording import BURIED, LATER, RECORDS, SAMPLES, TOMBSTONES

GOLDEN = Path(__file__).parent.parent / "golden" / "journal"


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    payload = encode(record)
    assert decode(payload) == record
    assert type(decode(payload)) is type(record)
    assert payload.isascii()
    assert b"\n" not in payload


def test_the_journals_own_note_comes_back() -> None:
    payload = b'{"fact":"damage","lost":"5 bytes"}'
    assert decode(payload) == DamageNoted("5 bytes")
    assert encode(DamageNoted("5 bytes")) == payload


def test_each_kind_of_record_has_a_name_of_its_own_and_is_in_the_golden_files() -> None:
    kinds = set(get_args(Record))
    assert set(NAMES) == kinds | {DamageNoted}
    assert len(set(NAMES.values())) == len(NAMES)
    assert {type(sample) for sample in SAMPLES} == kinds
    values = [getattr(sample, name) for sample in SAMPLES for name in sample.__dataclass_fields__]
    assert set(JobState) - {JobState.ACCEPTED} <= {v for v in values if isinstance(v, JobState)}
    assert set(NoticeKind) == {v for v in values if isinstance(v, NoticeKind)}
    later = [sample.command for sample in LATER if isinstance(sample, JobAccepted)]
    assert set(get_args(Command)) <= {type(value) for value in [*values, *later]}


def test_the_golden_payloads_are_read_and_written() -> None:
    lines = (GOLDEN / "v1.jsonl").read_bytes().splitlines()
    assert [decode(line) for line in lines] == SAMPLES
    assert [encode(sample) for sample in SAMPLES] == lines


WRITTEN_LATER = [
    '{"fact":"accepted","job_id":"j1","command":{"type":"DEPLOY_COMPOSE","payload":{"project_name":"blog","compose_file_base64":"c2VydmljZXM6IHt9","pull":"always","wait":false,"wait_timeout_s":12.5,"remove_orphans":true,"profiles":["a"],"auto_rollback":false,"labels":{"ticket":"OPS-1"},"requested_by":"ann"}},"digest":"9c1a8840740cd2a84e305235596398a816613f9939bf1917c89ddf3f5dd3fad5","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":12.5},"is_private":true,"project":"blog"}',
    '{"fact":"accepted","job_id":"j2","command":{"type":"PLAN_COMPOSE","payload":{"project_name":"blog","compose_file_base64":"c2VydmljZXM6IHt9","pull":"always","wait":false,"wait_timeout_s":12.5,"remove_orphans":true,"profiles":["a"],"auto_rollback":false,"labels":{"ticket":"OPS-1"},"requested_by":"ann"}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":13.0},"peer_seq":4}',
    '{"fact":"accepted","job_id":"j3","command":{"type":"ROLLBACK_COMPOSE","payload":{"project_name":"blog","revision":3,"requested_by":"ann"}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":14.0},"project":"blog"}',
    '{"fact":"accepted","job_id":"j4","command":{"type":"RESTART_COMPOSE","payload":{"project_name":"blog","services":["web","db"]}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":15.0},"project":"blog"}',
    '{"fact":"accepted","job_id":"j5","command":{"type":"REMOVE_COMPOSE","payload":{"project_name":"blog","volumes":true}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":16.0},"project":"blog"}',
    '{"fact":"accepted","job_id":"j6","command":{"type":"LIST_PROJECTS","payload":{}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":17.0},"peer_seq":5}',
    '{"fact":"accepted","job_id":"j7","command":{"type":"LIST_REVISIONS","payload":{"project_name":"blog"}},"digest":"","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":18.0},"peer_seq":6}',
    '{"fact":"accepted","job_id":"j8","command":null,"digest":"d1g357","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":19.0},"project":"blog"}',
    '{"fact":"exited","job_id":"j1","step":"apply","attempt":1,"exit":{"exit_code":0,"output_bytes":9,"output_sha256":"5ha256","head_bytes":5,"tail_bytes":3,"seconds":1.25}}',
    '{"fact":"accepted","job_id":"j9","command":null,"digest":"d1g357","accepted_at":{"boot_id":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","seconds":20.0},"project":"blog","spelling":"Blog"}',
]
"""`LATER` as it is written, for ever."""


def test_what_came_with_revisions_is_read_and_written() -> None:
    assert [decode(line.encode()) for line in WRITTEN_LATER] == LATER
    assert [encode(sample).decode() for sample in LATER] == WRITTEN_LATER


def test_the_golden_journal_is_read() -> None:
    found = framing.scan((GOLDEN / "v1.journal").read_bytes())
    assert found.is_whole
    assert [decode(payload) for payload in found.payloads] == SAMPLES


def document(**changes: object) -> bytes:
    fields = json.loads(encode(CancelRequested("j1", 7))) | changes
    return json.dumps({name: value for name, value in fields.items() if value != "gone"}).encode()


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "one record is no JSON"),
        (b"\xff", "one record is no JSON"),
        (b"{", "one record is no JSON"),
        (b"[" * 100_000, "one record is no JSON"),
        (b'{"fact":"cancel","job_id":"j1","peer_seq":NaN}', "one record is no JSON"),
        (b"[]", "one record does not say what it is"),
        (b"{}", "one record does not say what it is"),
        (b'{"fact":1}', "one record does not say what it is"),
        (document(fact="uncancel"), "record 'uncancel'"),
        (document(fact="x" * 1000), f"record '{'x' * 40}'"),
        (document(why="new"), "record 'cancel' has a field 'why'"),
        (document(job_id="gone"), "record 'cancel' has no 'job_id'"),
        (document(job_id=None), "record 'cancel' has a strange 'job_id'"),
        (document(job_id=5), "record 'cancel' has a strange 'job_id'"),
        (document(peer_seq=True), "record 'cancel' has a strange 'peer_seq'"),
        (document(peer_seq=7.0), "record 'cancel' has a strange 'peer_seq'"),
        (document(peer_seq="7"), "record 'cancel' has a strange 'peer_seq'"),
    ],
)
def test_what_this_version_does_not_know_is_not_taken_for_something_else(
    payload: bytes, why: str
) -> None:
    with pytest.raises(UnknownRecord) as refusal:
        decode(payload)
    assert str(refusal.value) == why


def changed(fact: str, **changes: object) -> bytes:
    """The first golden record of a kind, with other fields."""
    lines = (GOLDEN / "v1.jsonl").read_text(encoding="ascii").splitlines()
    found: Mapping[str, object] = next(
        record for record in map(json.loads, lines) if record["fact"] == fact
    )
    return json.dumps({**found, **changes}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        changed("accepted", command={"type": "RESTART", "payload": {}}),
        changed("accepted", command={"type": "STATUS", "payload": {}}),
        changed("accepted", command={"type": "HEALTH_CHECK", "payload": {"deep": True}}),
        changed("accepted", command={"type": "HEALTH_CHECK", "payload": {}, "by": "me"}),
        changed("accepted", command={"type": ["HEALTH_CHECK"], "payload": {}}),
        changed("accepted", command={"payload": {}}),
        changed("accepted", command="HEALTH_CHECK"),
        changed("accepted", accepted_at=12.5),
        changed("accepted", accepted_at={"boot_id": "b", "seconds": "1"}),
        changed("accepted", accepted_at={"boot_id": "b", "seconds": 1, "wall": 2}),
        changed("accepted", deadline_s=10**400),
        changed("finished", state="paused"),
        changed("finished", state=None),
        changed("finished", data=[]),
        changed("delivered", job_ids="j1"),
        changed("delivered", job_ids=[1]),
        changed("started", process={"pid": 1, "start_time": 2}),
        changed("notice", kind="shout"),
    ],
)
def test_no_part_of_a_record_is_dropped_or_bent(payload: bytes) -> None:
    with pytest.raises(UnknownRecord, match=r"^(record '[a-z]+'|[A-Z][A-Za-z]+) has "):
        decode(payload)


def test_a_refusal_does_not_tell_what_is_in_a_compose_file() -> None:
    secret = {
        "type": "DEPLOY_COMPOSE",
        "payload": {"project_name": "b", "compose_file_base64": "s3cret"},
    }
    with pytest.raises(UnknownRecord) as refusal:
        decode(changed("accepted", command=secret))
    assert "s3cret" not in str(refusal.value)


def test_a_whole_number_is_a_number_of_seconds() -> None:
    record = decode(changed("accepted", deadline_s=60))
    assert isinstance(record, JobAccepted)
    assert type(record.deadline_s) is float


@pytest.mark.parametrize(
    "record",
    [
        JobRejected("j1", "busy", "busy", 1, {"delay": float("nan")}),
        JobRejected("j1", "busy", "busy", 1, {"delay": object()}),
        CancelRequested("j1", True),
    ],
)
def test_what_could_not_be_read_is_not_written(record: Record) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(record)


@given(TOMBSTONES)
def test_a_tombstone_comes_back_to_who_knows_its_id(tombstone: Tombstone) -> None:
    slot = tombstone_format.slot_of(tombstone)
    assert len(slot) == tombstone_format.SLOT_BYTES
    assert tombstone_format.is_intact(slot)
    assert tombstone_format.tombstone_in(slot, tombstone.job_id) == tombstone


@pytest.mark.parametrize(
    "tombstone",
    [
        Tombstone("j1", "0" * 64, JobState.RUNNING),
        Tombstone("j1", "0" * 63, JobState.FAILED),
        Tombstone("j1", "0" * 63 + "G", JobState.FAILED),
        Tombstone("j1", " " * 64, JobState.FAILED),
    ],
)
def test_a_job_that_is_not_over_and_a_digest_that_is_none_have_no_tombstone(
    tombstone: Tombstone,
) -> None:
    with pytest.raises(ValueError, match="no job has a tombstone with"):
        tombstone_format.slot_of(tombstone)


def test_the_golden_tombstones_are_read() -> None:
    data = (GOLDEN / "v1.tombstones").read_bytes()
    said = tombstone_format.count_and_crc(data)
    assert said is not None
    assert said[0] == len(BURIED)
    for tombstone in BURIED:
        slot = tombstone_format.slot_of(tombstone)
        assert slot in data
        assert tombstone_format.tombstone_in(slot, tombstone.job_id) == tombstone
