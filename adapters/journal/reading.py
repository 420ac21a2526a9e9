"""Reads a journal that another process has open, and may be appending to.

The writer appends frames and has each durable before it says anything of it; a frame that is only half
there has no checksum that fits, and is no record yet. A compaction puts a new file in the old one's place
by a rename, so what was opened is one or the other, whole. So reading needs no lock, and nobody waits.
"""

from __future__ import annotations

import os
from pathlib import Path

from adapters.journal import framing
from adapters.journal import records as written
from adapters.journal.files import LOCAL_FILES, LocalFiles
from adapters.journal.framed_log import JOURNAL_FILE
from adapters.journal.records import DamageNoted
from adapters.journal.versions import NewerWriter, refusal
from adapters.storage_errors import translated
from application.ports.agent_records import KeptJobs
from domain.commands import COMMAND_NAMES
from domain.ledger import Ledger
from domain.records import JobAccepted


def read_jobs(directory: Path, files: LocalFiles = LOCAL_FILES) -> KeptJobs:
    """What the journal amounts to now; empty where there is none.

    What is damaged is left out, and left as it is: it is the agent's to say so. Raises
    `StorageUnavailable` where it cannot be read, or a newer agent wrote it.
    """
    path = directory / JOURNAL_FILE
    ledger = Ledger()
    commands: dict[str, str] = {}
    try:
        for payload in framing.scan(_content(path, files)).payloads:
            record = written.decode(payload)
            if isinstance(record, DamageNoted):
                continue
            if isinstance(record, JobAccepted) and record.command is not None:
                commands[record.job_id] = COMMAND_NAMES[type(record.command)]
            ledger.apply(record)
    except NewerWriter as exc:
        raise refusal(path, exc) from exc
    return KeptJobs(ledger, commands)


def _content(path: Path, files: LocalFiles) -> bytes:
    with translated(path, {}):
        try:
            fd = files.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            return files.read_all(fd)
        finally:
            files.close(fd)
