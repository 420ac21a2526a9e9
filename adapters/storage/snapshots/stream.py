"""How a snapshot is written down: lines of JSON in ASCII, one after another, in any amount.

    {"form": "instadeploy snapshot", "version": 1, "schema": "0001", "program": "1.0.0", "made_at": 1.5}
    {"part": "table hosts", "columns": ["id", ...]}
    ["host_1", ...]                                         a row; bytes are in base64
    {"end": "table hosts", "rows": 1, "sha256": "..."}      of the lines of its rows
    {"part": "file payload.key", "columns": ["content"]}
    ["..."]                                                 in base64
    {"end": "file payload.key", "rows": 1, "sha256": "..."}
    {"end": "snapshot", "parts": 2, "sha256": "..."}        of the lines with the parts' ends

What is not known of a form of this version is refused. Blocking, and never more than a line in memory.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from domain.errors import StorageUnavailable

FORM: Final = "instadeploy snapshot"
VERSION: Final = 1
LONGEST_LINE: Final = 256 * 1024 * 1024

_TABLE: Final = "table "
_FILE: Final = "file "
_WHOLE: Final = "snapshot"


class Sink(Protocol):
    """What is written to; all of it is taken."""

    def write(self, content: bytes, /) -> object:
        """Take it, or raise."""
        ...


class Source(Protocol):
    """What is read from."""

    def readline(self, size: int, /) -> bytes:
        """Up to the end of a line, with it, and at most so much."""
        ...

    def read(self, size: int, /) -> bytes:
        """What comes next, and nothing only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """What a snapshot is of. `schema` is the tables' version, `made_at` in seconds since 1970."""

    schema: str
    program: str
    made_at: float


@dataclass(slots=True)
class Tally:
    """How many lines there were, and their SHA-256."""

    rows: int = 0
    _sha256: Any = field(default_factory=hashlib.sha256)

    def add(self, line: bytes) -> None:
        """Count another one, with its end."""
        self.rows += 1
        self._sha256.update(line)

    @property
    def sha256(self) -> str:
        """Of all lines so far, in hexadecimal digits."""
        return str(self._sha256.hexdigest())


class SnapshotWriter:
    """Writes one to `out`; `write_end` makes a whole one of it. Raises as `out` does."""

    def __init__(self, out: Sink, head: Head) -> None:
        self._out = out
        self._parts = Tally()
        out.write(line_of({"form": FORM, "version": VERSION, **asdict(head)}))

    def write_table(self, name: str, columns: Sequence[str], rows: Iterable[bytes]) -> Tally:
        """A part of these lines, as `line_of` makes them."""
        return self._write(_TABLE + name, columns, rows)

    def write_file(self, name: str, content: bytes) -> None:
        """A part that is a file's content."""
        self._write(_FILE + name, ["content"], [line_of([encoded(content)])])

    def write_end(self) -> None:
        """Nothing comes after it."""
        end = {"end": _WHOLE, "parts": self._parts.rows, "sha256": self._parts.sha256}
        self._out.write(line_of(end))

    def _write(self, part: str, columns: Sequence[str], rows: Iterable[bytes]) -> Tally:
        self._out.write(line_of({"part": part, "columns": list(columns)}))
        tally = Tally()
        for row in rows:
            tally.add(row)
            self._out.write(row)
        end = line_of({"end": part, "rows": tally.rows, "sha256": tally.sha256})
        self._parts.add(end)
        self._out.write(end)
        return tally


@dataclass(slots=True)
class TablePart:
    """A table that comes next. `tally` is whole once all `lines` were taken, which must be."""

    name: str
    columns: Sequence[str]
    lines: Iterator[bytes]
    tally: Tally


class SnapshotReader:
    """Reads what a `SnapshotWriter` has written. Raises `StorageUnavailable` where it is not as it was.

    `files` and `tallies`, of each table, are whole once `tables` has come to its end.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts = Tally()
        self.files: dict[str, bytes] = {}
        self.tallies: dict[str, Tally] = {}
        head = _object(self._line())
        if head.get("form") != FORM:
            raise StorageUnavailable("this is no backup of this program")
        if head.get("version") != VERSION:
            raise StorageUnavailable(
                "the backup was made by a newer version of this program "
                f"({str(head.get('program'))[:40]}): restore it with that one"
            )
        try:
            self.head = Head(str(head["schema"]), str(head["program"]), float(head["made_at"]))
        except (LookupError, TypeError, ValueError):
            raise _damaged("its head") from None

    def tables(self) -> Iterator[TablePart]:
        """One table after the other; then all is known to be as it was written, up to the very end."""
        while True:
            line = self._line()
            said = _object(line)
            if said.get("end") == _WHOLE:
                self._check_end(said)
                return
            part, columns = str(said.get("part")), said.get("columns")
            tally = Tally()
            lines = self._rows(part, tally)
            if part.startswith(_TABLE) and isinstance(columns, list):
                name = part.removeprefix(_TABLE)
                self.tallies[name] = tally
                yield TablePart(name, columns, lines, tally)
                if next(lines, None) is not None:
                    raise AssertionError("a table was not read to its end")
            elif part.startswith(_FILE):
                self.files[part.removeprefix(_FILE)] = _content(part, lines)
            else:
                raise _damaged("an unknown part of it")

    def _rows(self, part: str, tally: Tally) -> Iterator[bytes]:
        while (line := self._line()).startswith(b"["):
            tally.add(line)
            yield line
        end = _object(line)
        if end != {"end": part, "rows": tally.rows, "sha256": tally.sha256}:
            raise _damaged(part)
        self._parts.add(line)

    def _check_end(self, end: Mapping[str, Any]) -> None:
        if (end.get("parts"), end.get("sha256")) != (self._parts.rows, self._parts.sha256):
            raise _damaged("its end")
        if self._source.read(1):
            raise _damaged("what stands behind its end")

    def _line(self) -> bytes:
        line = self._source.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise _damaged("its end is missing, or a line")
        return line


def line_of(value: object) -> bytes:
    """JSON in one line."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def encoded(content: bytes) -> str:
    """Bytes as they stand in a line."""
    return base64.b64encode(content).decode("ascii")


def decoded(text: str) -> bytes:
    """What `encoded` was given; raises `ValueError`."""
    return base64.b64decode(text, validate=True)


def _content(part: str, lines: Iterator[bytes]) -> bytes:
    found = list(lines)
    try:
        ((content,),) = (json.loads(line) for line in found)
        return decoded(content)
    except (binascii.Error, TypeError, ValueError):
        raise _damaged(part) from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _damaged("a line")
    return found


def _damaged(what: str) -> StorageUnavailable:
    return StorageUnavailable(f"the backup is damaged: {what} is not as it was written")
