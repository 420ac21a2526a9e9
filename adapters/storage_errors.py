"""What the kernel says of a disk, in the domain's words."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final

from domain.errors import NoSpace, StorageUnavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_AGENTS_HINTS: Final = {
    errno.EACCES: "the agent's user may not do that there",
    errno.EPERM: "the agent's user may not do that there",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "something that is no directory stands in the way",
}


def is_full(exc: OSError) -> bool:
    """Whether there is no room on the disk, or none for this user."""
    return exc.errno in _FULL


@contextlib.contextmanager
def translated(path: PurePath, hints: Mapping[int, str] = _AGENTS_HINTS) -> Iterator[None]:
    """Raise `NoSpace` or `StorageUnavailable`, which name `path`, in the place of an `OSError`."""
    try:
        yield
    except OSError as exc:
        if is_full(exc):
            raise NoSpace(f"no space left on the disk that holds {path}") from exc
        hint = hints.get(exc.errno or 0, "")
        reason = exc.strerror or type(exc).__name__
        raise StorageUnavailable(
            f"{path} cannot be used: {reason}" + (f" ({hint})" if hint else "")
        ) from exc
