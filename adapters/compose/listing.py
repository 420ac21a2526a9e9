"""What `docker compose` prints for machines, read into the domain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from application.ports.compose_runtime import ResolvedProject
from domain.errors import RuntimeUnavailable
from domain.output import BoundedOutput
from domain.services import PublishedPort

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_HASH = re.compile(r"^(\S+) ([0-9a-f]{64})", re.MULTILINE)


def parse_resolved(model: str, hashes: str, complaints: BoundedOutput) -> ResolvedProject:
    """What `config` has printed; warnings, which stand before and after, go to `complaints`.

    Raises `RuntimeUnavailable` where that cannot be read; what it says quotes nothing.
    """
    begin = re.search(r"^\{$", model, re.MULTILINE)
    if begin is None:
        raise RuntimeUnavailable("docker compose config has printed no model of the project")
    try:
        document, end = json.JSONDecoder().raw_decode(model, begin.start())
    except ValueError:
        raise RuntimeUnavailable("what docker compose config has printed is no JSON") from None
    # Compose ends neither with a line break, and a warning may follow at once.
    complaints.write((model[: begin.start()] + model[end:]).lstrip("\n").encode())
    return ResolvedProject(document, parse_hashes(hashes))


def parse_hashes(printed: str) -> dict[str, str]:
    """What `config --hash` has printed, by service; warnings may stand before and after."""
    return dict(_HASH.findall(printed))


def printed_model(document: Mapping[str, object]) -> bytes:
    """A model as Compose reads it, which is as YAML: that has some of JSON's escapes and not others.

    Half of a surrogate pair is no character to it, and a control character has to be escaped.
    """
    text = json.dumps(document, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode(
        "utf-8", "replace"
    )


def objects_in(text: str) -> Iterator[Mapping[str, Any]]:
    """One object a line, or one array; warnings may stand between the lines."""
    for line in text.splitlines():
        if not line.startswith(("{", "[")):
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield from found if isinstance(found, list) else [found]


def ports_of(publishers: Iterable[Mapping[str, Any]]) -> Iterator[PublishedPort]:
    """The ports of the host among what Compose calls a container's publishers."""
    for publisher in publishers:
        if publisher.get("PublishedPort"):
            yield PublishedPort(
                host_address=str(publisher.get("URL") or ""),
                host_port=int(publisher["PublishedPort"]),
                container_port=int(publisher.get("TargetPort", 0)),
                protocol=str(publisher.get("Protocol", "tcp")),
            )
