"""Entries as systemd's journal would get them, on a real socket."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.log_context import log_about
from entrypoints.journald import JournalHandler, entry_of, is_journal
from entrypoints.logging_setup import MessageFormatter


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def read(entry: bytes) -> list[tuple[str, str]]:
    """An entry, taken apart as the protocol says."""
    fields = []
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            length = int.from_bytes(entry[:8], "little")
            value, end, entry = (
                entry[8 : 8 + length],
                entry[8 + length : 9 + length],
                entry[9 + length :],
            )
            assert end == b"\n"
        fields.append((name.decode(), value.decode()))
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "journal"))
        listening.settimeout(10)
        yield listening


@pytest.fixture
def otherwise() -> Kept:
    return Kept()


@pytest.fixture
def logger(journal: socket.socket, otherwise: Kept) -> Iterator[logging.Logger]:
    handler = JournalHandler("agent", otherwise, journal.getsockname())
    handler.setFormatter(MessageFormatter())
    made = logging.getLogger("application.test")
    made.setLevel(logging.DEBUG)
    made.propagate = False
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")]
)
def test_an_entry_has_its_level_and_what_it_is_about(
    journal: socket.socket, logger: logging.Logger, level: str, priority: str
) -> None:
    with log_about(job_id="j1", project="", command="DeployCompose"):
        getattr(logger, level)("job %s: %s", "j1", "ends")
    fields = dict(read(journal.recv(65536)))
    assert fields["MESSAGE"] == "job j1: ends"
    assert fields["PRIORITY"] == priority
    assert fields["SYSLOG_IDENTIFIER"] == "agent"
    assert fields["LOGGER"] == "application.test"
    assert fields["CODE_FUNC"] == test_an_entry_has_its_level_and_what_it_is_about.__name__
    assert fields["INSTADEPLOY_JOB_ID"] == "j1"
    assert fields["INSTADEPLOY_COMMAND"] == "DeployCompose"
    assert "INSTADEPLOY_PROJECT" not in fields


def test_an_entry_about_nothing_has_no_fields_of_ours(
    journal: socket.socket, logger: logging.Logger
) -> None:
    with log_about(job_id="j1"):
        pass
    logger.info("x")
    assert not [name for name, _ in read(journal.recv(65536)) if name.startswith("INSTADEPLOY_")]


def test_a_traceback_is_in_the_same_entry(journal: socket.socket, logger: logging.Logger) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("it broke")
    message = dict(read(journal.recv(65536)))["MESSAGE"]
    assert message.startswith("it broke\\nTraceback")
    assert message.endswith("ValueError: first\\nsecond")


@given(st.lists(st.tuples(st.sampled_from(["MESSAGE", "X"]), st.text(max_size=40)), max_size=5))
def test_no_value_can_be_taken_for_another_field(fields: list[tuple[str, str]]) -> None:
    assert read(entry_of(fields)) == fields


def test_what_is_very_long_is_cut_and_arrives(
    journal: socket.socket, logger: logging.Logger
) -> None:
    logger.info("%s", "é" * 1_000_000)
    assert journal.recv(1_000_000).startswith(b"MESSAGE=" + "é".encode() * 1000)


def test_what_the_journal_does_not_take_goes_elsewhere(
    journal: socket.socket, logger: logging.Logger, otherwise: Kept
) -> None:
    journal.close()
    logger.info("still said")
    assert [record.getMessage() for record in otherwise.records] == ["still said"]


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    with path.open("wb") as file:
        found = os.fstat(file.fileno())
        stream = f"{found.st_dev}:{found.st_ino}"
        assert is_journal({"JOURNAL_STREAM": stream}, file)
        for other in ("", "1:2", "x", f"{found.st_dev}", f"{stream}:1", f"{stream}x"):
            assert not is_journal({"JOURNAL_STREAM": other}, file)
        assert not is_journal({}, file)
    assert not is_journal({"JOURNAL_STREAM": stream}, file)
    assert not is_journal({"JOURNAL_STREAM": stream}, io.StringIO())
