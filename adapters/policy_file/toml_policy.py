"""Reads the policy file, and first makes sure that nobody but root can have written it.

A policy binds a control plane that may have been taken over. It is worth as much as its file: who
can write the file, or a directory on the way to it, can have any policy. So whatever is doubtful
keeps the agent from starting, rather than being taken for a policy that allows everything.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from domain.errors import InvalidInput
from domain.policy import PERMISSIVE, Policy, policy_from_document

DEFAULT_POLICY_FILE: Final = Path("/etc/instadeploy/policy.toml")
MAX_POLICY_BYTES: Final = 256 * 1024
FIELD: Final = "AGENT_POLICY_FILE"

_ROOT: Final = 0
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_MAX_LINKS: Final = 40


def load_policy(path: Path | None) -> Policy:
    """The policy of this host; `permissive` where no file is named and there is none by default.

    Raises `InvalidInput`, which says what to do, where the file is named and not there, cannot be
    read, could have been written by somebody other than root, is too large, or is no policy.
    Symbolic links are followed as long as only root can have put them and their targets there.
    """
    named = path or DEFAULT_POLICY_FILE
    try:
        content = _read(_followed(named.absolute()))
    except FileNotFoundError as exc:
        if path is None:
            return PERMISSIVE
        raise _refused(named, "does not exist; write it, or unset AGENT_POLICY_FILE") from exc
    except OSError as exc:
        raise _refused(named, f"cannot be read: {exc.strerror}; the agent must be able to") from exc
    return _parsed(named, content)


def _parsed(path: Path, content: bytes) -> Policy:
    import tomllib  # noqa: PLC0415 - Most hosts have no such file.

    try:
        return policy_from_document(tomllib.loads(content.decode("utf-8")))
    except UnicodeDecodeError as exc:
        raise _refused(path, f"is not UTF-8 text: byte {exc.start} is not valid") from exc
    except tomllib.TOMLDecodeError as exc:
        raise _refused(path, f"is not TOML: {exc}") from exc
    except RecursionError as exc:
        raise _refused(path, "is nested too deeply to be a policy") from exc
    except InvalidInput as exc:
        raise _refused(path, f"is no policy: {exc.rule}") from exc


def _followed(path: Path) -> Path:
    """Where the path leads, once each directory and each link on the way is known to be root's."""
    parts = list(reversed(path.parts[1:]))
    current, links = Path("/"), 0
    _check(current, current.lstat())
    while parts:
        part = parts.pop()
        if part == "..":
            current = current.parent
            continue
        current /= part
        info = current.lstat()
        _check(current, info)
        if stat.S_ISLNK(info.st_mode):
            links += 1
            if links > _MAX_LINKS:
                raise _refused(path, "leads through too many symbolic links")
            target = current.readlink()
            current = Path("/") if target.is_absolute() else current.parent
            parts += reversed([part for part in target.parts if part != "/"])
    return current


def _check(path: Path, info: os.stat_result) -> None:
    if info.st_uid != _ROOT:
        raise _refused(
            path, "belongs to another user than root, who could change the policy: chown root it"
        )
    # A link has no mode of its own.
    if stat.S_ISLNK(info.st_mode) or not info.st_mode & _OTHERS_WRITE:
        return
    # In such a directory nobody can replace a file of root's, but put one there before root does.
    if stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX:
        raise _refused(
            path,
            "can be written by others than root, and is there for that: move the policy to a "
            f"directory that only root can write, such as {DEFAULT_POLICY_FILE.parent}",
        )
    raise _refused(
        path, "can be written by others than root, who could change the policy: chmod go-w it"
    )


def _read(path: Path) -> bytes:
    _check_file(path, path.lstat())
    # Not to wait for the other end, should it have become a pipe meanwhile.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check_file(path, os.fstat(descriptor))
        content = file.read(MAX_POLICY_BYTES + 1)
    if len(content) > MAX_POLICY_BYTES:
        raise _refused(path, f"is larger than {MAX_POLICY_BYTES // 1024} KiB, and so no policy")
    return content


def _check_file(path: Path, info: os.stat_result) -> None:
    _check(path, info)
    if not stat.S_ISREG(info.st_mode):
        raise _refused(path, "is not a regular file; name the file with the policy in it")


def _refused(path: Path, why: str) -> InvalidInput:
    return InvalidInput(FIELD, f"{path} {why}")
