"""The file that says which control planes there are, by names of the operator's. It has no secret in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from adapters.contexts.private_file import locked, make_directory, read_file, write_file
from domain.errors import InvalidInput

VERSION: Final = 1
FILE_NAME: Final = "config.json"


@dataclass(frozen=True, slots=True)
class Context:
    """A control plane. `token_store` is `keyring` or `file`, where its token is; `user` for people."""

    name: str
    url: str
    user: str = ""
    ca_file: str = ""
    token_store: str = ""


@dataclass(slots=True)
class Contexts:
    """All of them; `current` is the one that is used where none is named, or empty."""

    current: str = ""
    by_name: dict[str, Context] = field(default_factory=dict)


class ContextFile:
    """Reads and replaces it; others that change it at the same time wait for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Contexts:
        """What stands in it; nothing, where there is no file.

        Raises `InvalidInput` where others may change it, or it is none of ours, and
        `StorageUnavailable` where it cannot be read.
        """
        content = read_file(self.path, is_secret=False)
        return Contexts() if content is None else _parsed(self.path, content)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Contexts]:
        """What stands in it, to be changed; written when the context is left in order."""
        make_directory(self.path.parent)
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            contexts = self.read()
            yield contexts
            write_file(self.path, _written(contexts))


def default_path() -> Path:
    """Where it is unless somebody says otherwise."""
    import platformdirs  # noqa: PLC0415 - not needed where the path is said

    return Path(platformdirs.user_config_dir("instadeploy")) / FILE_NAME


def _written(contexts: Contexts) -> bytes:
    named = {
        name: {key: value for key, value in asdict(one).items() if key != "name"}
        for name, one in sorted(contexts.by_name.items())
    }
    document = {"version": VERSION, "current": contexts.current, "contexts": named}
    return (json.dumps(document, indent=2) + "\n").encode()


def _parsed(path: Path, content: bytes) -> Contexts:
    try:
        document = json.loads(content)
        if document["version"] != VERSION:
            raise InvalidInput(str(path), "was written by another version of this program")
        named = {str(name): _context(str(name), one) for name, one in document["contexts"].items()}
        return Contexts(str(document["current"]), named)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(
            str(path), "is no file of contexts: mend it, or remove it and log in again"
        ) from None


def _context(name: str, one: dict[str, Any]) -> Context:
    known = {key: str(one.get(key) or "") for key in ("url", "user", "ca_file", "token_store")}
    return Context(name, **known)
