"""Protocol v2: how an agent says who it is, from and to the JSON objects that carry it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Final, TypeVar

from adapters.wire.either import (
    Document,
    MessageType,
    document_of,
    position_document,
    position_from,
)
from adapters.wire.fields import MAX_ENTRIES, SHORTEST_NONCE, Fields
from domain.job import JobState
from domain.link_messages import Enroll, Hello, RunningJob

ROOM_FOR_ENTRIES: Final = 320 * 1024
"""Bytes that each list of a HELLO may take; all three and the rest have to stay under 1 MiB."""

T = TypeVar("T")


def enroll_from(fields: Fields) -> Enroll:
    """ENROLL; raises `InvalidInput`."""
    return Enroll(
        nonce=fields.label("nonce", shortest=SHORTEST_NONCE),
        token=fields.label("token"),
        public_key=fields.label("public_key"),
        signature=fields.label("signature"),
        version=fields.text("version"),
        architecture=fields.text("architecture"),
        hostname=fields.text("hostname"),
    )


def hello_from(fields: Fields) -> Hello:
    """HELLO; raises `InvalidInput`."""
    return Hello(
        nonce=fields.label("nonce", shortest=SHORTEST_NONCE),
        epoch=fields.label("epoch"),
        peer_epoch=fields.label("peer_epoch", shortest=0),
        last_seq_seen=fields.count("last_seq_seen"),
        version=fields.text("version"),
        architecture=fields.text("architecture"),
        hostname=fields.text("hostname"),
        capabilities=fields.texts("capabilities"),
        running=tuple(map(_running_job, fields.objects("running"))),
        generations=fields.ordinals_by_name("generations"),
        host_id=fields.optional("host_id", fields.label) or "",
        signature=fields.optional("signature", fields.label) or "",
    )


def _running_job(fields: Fields) -> RunningJob:
    return RunningJob(
        fields.job_id("job_id"),
        fields.word("state", JobState),
        fields.optional("output", lambda name: position_from(fields.nested(name))),
    )


def enroll_document(enroll: Enroll) -> Document:
    """ENROLL as a JSON object."""
    return document_of(
        MessageType.ENROLL,
        nonce=enroll.nonce,
        token=enroll.token,
        public_key=enroll.public_key,
        signature=enroll.signature,
        version=enroll.version,
        architecture=enroll.architecture,
        hostname=enroll.hostname,
    )


def hello_document(hello: Hello) -> Document:
    """HELLO as a JSON object, with as many entries as fit its lists."""
    running = [
        {
            "job_id": job.job_id,
            "state": job.state,
            **({} if job.output is None else {"output": position_document(job.output)}),
        }
        for job in hello.running
    ]
    return document_of(
        MessageType.HELLO,
        nonce=hello.nonce,
        epoch=hello.epoch,
        peer_epoch=hello.peer_epoch,
        last_seq_seen=hello.last_seq_seen,
        version=hello.version,
        architecture=hello.architecture,
        hostname=hello.hostname,
        capabilities=_as_many_as_fit(hello.capabilities),
        running=_as_many_as_fit(running),
        generations=dict(_as_many_as_fit(hello.generations.items())),
        host_id=hello.host_id or None,
        signature=hello.signature or None,
    )


def _as_many_as_fit(entries: Iterable[T]) -> list[T]:
    kept: list[T] = []
    room = ROOM_FOR_ENTRIES
    for entry in itertools.islice(entries, MAX_ENTRIES):
        room -= len(json.dumps(entry)) + 2
        if room < 0:
            break
        kept.append(entry)
    return kept
