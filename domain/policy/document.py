"""Reads a policy from the document in its file: a preset, and what the file says instead.

A policy that means something else than its author thinks is worse than none. So whatever is not
known, not of its type or could fit nothing is an error that names its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from domain.errors import InvalidInput
from domain.policy.images import names_registry
from domain.policy.paths import clean
from domain.policy.policy import ACCEPT, REFUSE, Policy
from domain.policy.ports import PortRule
from domain.policy.presets import PRESETS

FIELD: Final = "AGENT_POLICY_FILE"
SECTIONS: Final = tuple(
    field.name for field in fields(Policy) if field.name not in ("name", "unknown_keys")
)
MAX_NAME_LENGTH: Final = 64

_PRESET: Final = "preset"
_KNOWN_AT_TOP: Final = (_PRESET, "name", "unknown_keys", *SECTIONS)
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")


def policy_from_document(document: Mapping[str, object]) -> Policy:
    """The policy that a parsed file describes; raises `InvalidInput` that names the key."""
    for key in document:
        if key not in _KNOWN_AT_TOP:
            raise _wrong(key, f"is unknown; there are {', '.join(_KNOWN_AT_TOP)}")
    base = _preset(document)
    changed = replace(base, unknown_keys=_unknown_keys(document, base))
    for name in SECTIONS:
        if name in document:
            section = _section(name, getattr(base, name), document[name])
            changed = replace(changed, **{name: section})
    return replace(changed, name=_name(document, base, changed))


def _preset(document: Mapping[str, object]) -> Policy:
    named = document.get(_PRESET)
    if not isinstance(named, str) or named not in PRESETS:
        what = "is missing" if named is None else "is unknown"
        raise _wrong(
            _PRESET, f"{what}; write one of {', '.join(PRESETS)}, which the file then changes"
        )
    return PRESETS[named]


def _unknown_keys(document: Mapping[str, object], base: Policy) -> str:
    wish = document.get("unknown_keys", base.unknown_keys)
    if wish not in (REFUSE, ACCEPT):
        raise _wrong("unknown_keys", f'must be "{REFUSE}" or "{ACCEPT}"')
    return str(wish)


def _name(document: Mapping[str, object], base: Policy, changed: Policy) -> str:
    name = document.get("name")
    if name is None:
        return base.name if changed == base else f"{base.name}, changed"
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
        raise _wrong("name", f"must be a line of 1 to {MAX_NAME_LENGTH} characters")
    return name


def _section(name: str, base: Any, values: object) -> Any:
    if not isinstance(values, Mapping):
        raise _wrong(name, f"must be a section, [{name}]")
    known = [field.name for field in fields(base)]
    changes: dict[str, object] = {}
    for key, value in values.items():
        if key not in known:
            raise _wrong(f"[{name}] {key}", f"is unknown; there are {', '.join(known)}")
        changes[key] = _value(f"{name}.{key}", getattr(base, key), value)
    return replace(base, **changes)


def _value(key: str, like: object, value: object) -> object:
    """The value, if it has the type of the preset's."""
    match like:
        case bool():
            if isinstance(value, bool):
                return value
            raise _wrong_at(key, "must be true or false")
        case tuple():
            if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
                return _entries(key, value)
            raise _wrong_at(key, "must be a list of strings")
        case int():
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST:
                return value
            raise _wrong_at(key, "must be a whole number, 0 or more")
        case _:
            if (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and 0 <= value < _MOST
            ):
                return float(value)
            raise _wrong_at(key, "must be a number, 0 or more")


_MOST: Final = 1e12


def _entries(key: str, entries: Iterable[str]) -> tuple[str, ...]:
    read = _READERS.get(key, _pattern)
    result = []
    for entry in entries:
        try:
            result.append(read(entry))
        except ValueError as exc:
            raise _wrong_at(key, f"{entry[:MAX_NAME_LENGTH]!r} {exc}") from None
    return tuple(result)


def _pattern(entry: str) -> str:
    if not entry.strip() or entry != entry.strip() or not entry.isprintable():
        raise ValueError("must not be empty, and have no spaces around it")
    return entry


def _lower_pattern(entry: str) -> str:
    return _pattern(entry).lower()


def _path(entry: str) -> str:
    if not _pattern(entry).startswith("/") or "*" in entry:
        raise ValueError("must be an absolute path without patterns; what is below it is meant too")
    return clean(entry)


def _device(entry: str) -> str:
    if not _pattern(entry).startswith(("/", "**")) and "=" not in entry:
        raise ValueError("must be a path, such as /dev/dri/*, or vendor.com/class=name")
    return entry


def _image(entry: str) -> str:
    if not names_registry(_pattern(entry)):
        raise ValueError("must name the registry, such as docker.io/library/* or **")
    return entry


def _port(entry: str) -> str:
    PortRule.of(entry)
    return entry


def _capability(entry: str) -> str:
    name = _pattern(entry).upper().removeprefix("CAP_")
    if not _CAPABILITY.fullmatch(name):
        raise ValueError("must be a capability, such as NET_ADMIN, or ALL")
    return name


_READERS: Final[Mapping[str, Callable[[str], str]]] = {
    "projects.allow": _lower_pattern,
    "images.allow": _image,
    "ports.published": _port,
    "binds.roots": _path,
    "binds.read_only_roots": _path,
    "binds.never": _path,
    "containers.engine_sockets": _path,
    "containers.cap_add": _capability,
    "containers.devices": _device,
    "containers.security_opt": _lower_pattern,
    "containers.logging_drivers": _lower_pattern,
    "networks.drivers": _lower_pattern,
    "volumes.drivers": _lower_pattern,
    "volumes.mount_types": _lower_pattern,
}


def _wrong_at(key: str, rule: str) -> InvalidInput:
    section, _, name = key.partition(".")
    return _wrong(f"[{section}] {name}", rule)


def _wrong(key: str, rule: str) -> InvalidInput:
    return InvalidInput(FIELD, f"{key[:MAX_NAME_LENGTH]} {rule}")
