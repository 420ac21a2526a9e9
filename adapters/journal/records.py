"""What a journal's payloads say: one fact as one JSON object, in ASCII, for ever.

A payload is `{"fact": <name>, <field>: <value>, ...}`; names and fields are those of `domain.records`,
and a field that has its default is left out. What was written once must be readable by every later
version, so names, fields, types, defaults, and what is valid in a command, can be added to and not
changed. What this version does not know is never dropped, since half a fact is another fact: it is a
newer writer's, and the file is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, NoReturn, get_args, get_origin, get_type_hints

from adapters.journal.versions import NewerWriter
from adapters.wire.messages import command_from, payload_of
from domain import records as facts
from domain.commands import Command
from domain.errors import InvalidInput
from domain.records import Record

MAX_NAMED_LENGTH: Final = 40


class UnknownRecord(NewerWriter):
    """An intact frame whose content is no fact that this version knows."""


@dataclass(frozen=True, slots=True)
class DamageNoted:
    """The journal's own: what was found to be lost at this place, so that it is not forgotten."""

    lost: str


NAMES: Final[Mapping[type, str]] = {
    DamageNoted: "damage",
    facts.EpochBegun: "epoch",
    facts.PeerMet: "peer",
    facts.JobAccepted: "accepted",
    facts.JobRepeated: "repeated",
    facts.JobRejected: "rejected",
    facts.CancelRequested: "cancel",
    facts.StepStarting: "starting",
    facts.StepStarted: "started",
    facts.StepExited: "exited",
    facts.JobFinished: "finished",
    facts.ResultsDelivered: "delivered",
    facts.PeerConfirmed: "confirmed",
    facts.GenerationReached: "generation",
    facts.SequencesStand: "sequences",
    facts.NoticeKept: "notice",
}
_TYPES: Final = {name: kind for kind, name in NAMES.items()}


def encode(record: Record | DamageNoted) -> bytes:
    """The payload of a fact; raises `ValueError` or `TypeError` where its `data` is no JSON."""
    document = {"fact": NAMES[type(record)], **_document_of(record)}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode(payload: bytes) -> Record | DamageNoted:
    """The fact that `encode` made the payload of; raises `UnknownRecord`.

    What that says never holds more of the content than a name.
    """
    try:
        document = _JSON.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UnknownRecord("one record is no JSON") from None
    match document:
        case {"fact": str(name), **values} if name in _TYPES:
            fact: Record | DamageNoted = _value_of(_TYPES[name], values, f"record {name!r}")
            return fact
        case {"fact": str(name)}:
            raise UnknownRecord(f"record {name[:MAX_NAMED_LENGTH]!r}")
        case _:
            raise UnknownRecord("one record does not say what it is")


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("no JSON")


_FIELDS: Final[dict[type, Mapping[str, _Field]]] = {}
_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)


@dataclass(frozen=True, slots=True)
class _Form:
    """How the values of one type are written. `read` raises where it is given anything else."""

    write: Callable[[Any], object]
    read: Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    form: _Form
    default: object


def _fields_of(kind: type) -> Mapping[str, _Field]:
    if kind in _FIELDS:
        return _FIELDS[kind]
    types = get_type_hints(kind)
    _FIELDS[kind] = {
        field.name: _Field(
            field.name,
            _form_of(types[field.name]),
            field.default if field.default_factory is MISSING else field.default_factory(),
        )
        for field in fields(kind)
    }
    return _FIELDS[kind]


def _document_of(value: object) -> dict[str, object]:
    document: dict[str, object] = {}
    for field in _fields_of(type(value)).values():
        part = getattr(value, field.name)
        if field.default is MISSING or part != field.default:
            document[field.name] = field.form.write(part)
    return document


def _value_of(kind: type, document: object, where: str) -> Any:
    if not isinstance(document, dict):
        raise TypeError
    known = _fields_of(kind)
    for name in document.keys() - known.keys():
        raise UnknownRecord(f"{where} has a field {name[:MAX_NAMED_LENGTH]!r}")
    values = {}
    for field in known.values():
        if field.name in document:
            try:
                values[field.name] = field.form.read(document[field.name])
            except (TypeError, ValueError, OverflowError, KeyError, InvalidInput):
                raise UnknownRecord(f"{where} has a strange {field.name!r}") from None
        elif field.default is MISSING:
            raise UnknownRecord(f"{where} has no {field.name!r}")
    return kind(**values)


def _plain(kind: type) -> _Form:
    """A type of JSON's own. What could not be read is not written either."""

    def write(value: object) -> object:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{value!r:.40} is no {kind.__name__}")
        return value

    def read(value: object) -> object:
        if type(value) is not kind:
            raise TypeError
        return value

    return _Form(write, read)


def _number() -> _Form:
    def convert(value: object) -> float:
        if type(value) is not float and type(value) is not int:
            raise TypeError
        return float(value)

    return _Form(convert, convert)


def _nested(kind: type) -> _Form:
    return _Form(_document_of, lambda document: _value_of(kind, document, kind.__name__))


def _optional(form: _Form) -> _Form:
    return _Form(
        lambda value: None if value is None else form.write(value),
        lambda value: None if value is None else form.read(value),
    )


def _several(form: _Form) -> _Form:
    def read(values: object) -> tuple[Any, ...]:
        if not isinstance(values, list):
            raise TypeError
        return tuple(form.read(value) for value in values)

    return _Form(lambda values: [form.write(value) for value in values], read)


def _write_command(command: Command) -> dict[str, object]:
    name, payload = payload_of(command)
    return {"type": name, "payload": payload}


def _read_command(document: object) -> Command:
    if not isinstance(document, dict):
        raise TypeError
    command = command_from(document["type"], document)
    # The wire ignores fields that it does not know.
    if _write_command(command) != document:
        raise ValueError
    return command


_TEXT: Final = _plain(str)
_COMMAND: Final = _Form(_write_command, _read_command)
_SIMPLE: Final[Mapping[object, _Form]] = {
    str: _TEXT,
    int: _plain(int),
    bool: _plain(bool),
    float: _number(),
    Mapping[str, object]: _Form(dict, _plain(dict).read),
}


def _form_of(kind: Any) -> _Form:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    parts = set(get_args(kind))
    if parts >= set(get_args(Command)):
        form = _COMMAND
    elif get_origin(kind) is tuple:
        form = _several(_form_of(get_args(kind)[0]))
    elif isinstance(kind, UnionType):
        (part,) = parts - {NoneType}
        form = _form_of(part)
    elif issubclass(kind, StrEnum):
        form = _Form(str, lambda value: kind(_TEXT.read(value)))
    else:
        form = _nested(kind)
    return _optional(form) if NoneType in parts else form
