"""Which paths of the host a project may see, however it asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.compose_model import ComposeModel, Place, Volume
from domain.policy.builds import build_paths
from domain.policy.case import Case
from domain.policy.paths import clean, climbs, contains
from domain.policy.violation import Finding, shown

BOUND_TYPES: Final = frozenset({"", "none", "bind"})
"""Types of a mount that has no file system of its own."""
_NETWORK_TYPES: Final = frozenset({"nfs", "nfs4", "cifs", "smb3"})
_SECRETS: Final = frozenset({"password", "pass", "password2"})
_BIND_OPTIONS: Final = frozenset({"bind", "rbind"})


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path that a project asks for. `path` is clean."""

    place: Place
    path: str
    read_only: bool
    climbs: bool
    """It has `..` in it, and the kernel rather than the engine is going to read it."""


def host_paths(model: ComposeModel, project_directory: str) -> tuple[HostPath, ...]:
    """Every path of the host that the model names, and that the policy judges."""
    found = [*_of_services(model), *_of_sources(model)]
    paths = [
        HostPath(place, clean(text, project_directory), read_only, climbs=False)
        for place, text, read_only in found
    ]
    for volume in model.volumes:
        for place, text in _of_volume(volume):
            # What Compose has left relative, the kernel takes from where the engine runs.
            path = clean(text)
            paths.append(HostPath(place, path, read_only=False, climbs=climbs(text)))
    return tuple(paths)


def judge_binds(case: Case) -> Iterator[Finding]:
    """Of mounts, of volumes that are binds in disguise, of configs, secrets and builds."""
    for wanted in host_paths(case.model, case.project_directory):
        spellings = {wanted.path, clean(case.places.real_paths.get(wanted.path, wanted.path))}
        for path in sorted(spellings):
            yield from _judge_path(case, wanted, path)
        if wanted.climbs and "/" not in case.policy.binds.roots:
            how = "by way of '..', which only the root / allows,"
            yield _finding("binds.roots", wanted, wanted.path, how, "/")


def _judge_path(case: Case, wanted: HostPath, path: str) -> Iterator[Finding]:
    sockets = [one for one in _sockets(case) if contains(path, one) or contains(one, path)]
    if sockets and not case.policy.containers.engine_socket:
        what = f"names {shown(path)}, which leads to an engine's socket, the key to the whole host"
        yield Finding("containers.engine_socket", wanted.place, what, needed=True)
    if not any(contains(one, path) for one in sockets):
        yield from _judge_root(case, wanted, path)


def _judge_root(case: Case, wanted: HostPath, path: str) -> Iterator[Finding]:
    roots, never = _roots(case, read_only=wanted.read_only), _never(case)
    root = max((root for root in roots if contains(root, path)), key=len, default=None)
    if root is None:
        yield _finding("binds.roots", wanted, path)
        return
    nearest = max((one for one in never if contains(one, path)), key=len, default="")
    if len(nearest) > len(root):
        yield _finding("binds.never", wanted, path, f"below {shown(nearest)},")
    for one in sorted(never):
        if one != path and contains(path, one) and one not in roots:
            yield _finding("binds.never", wanted, path, f"with {shown(one)} below it,", one)
            return


def _finding(rule: str, wanted: HostPath, path: str, how: str = "", needed: str = "") -> Finding:
    what = " ".join(part for part in (f"names the host's path {shown(path)}", how) if part)
    # A root lifts both rules: the most specific entry decides.
    return Finding(rule, wanted.place, what, needed or path, lifted_by="binds.roots")


def _roots(case: Case, *, read_only: bool) -> set[str]:
    binds = case.policy.binds
    roots = {*binds.roots, *(binds.read_only_roots if read_only else ())}
    if not binds.project_directory:
        return roots
    # Where links lead to it, a path in it is judged under both names.
    directory = case.project_directory
    return roots | {clean(directory), clean(case.places.real_paths.get(directory, directory))}


def _never(case: Case) -> set[str]:
    binds = case.policy.binds
    own = () if binds.agent_directories else case.places.agent_directories
    return {*binds.never, *map(clean, own)}


def _sockets(case: Case) -> list[str]:
    known = (*case.policy.containers.engine_sockets, *case.places.engine_sockets)
    return sorted(set(map(clean, known)))


def _of_services(model: ComposeModel) -> Iterator[tuple[Place, str, bool]]:
    for service in model.services:
        for mount in service.mounts:
            if mount.kind in ("bind", "npipe"):
                yield mount.place, mount.source, mount.read_only
        for place, text in service.files:
            yield place, text, True
        if service.build is not None:
            yield from build_paths(service.build)


def _of_sources(model: ComposeModel) -> Iterator[tuple[Place, str, bool]]:
    for source in (*model.configs, *model.secrets):
        if source.file is not None:
            yield source.place.at("file"), source.file, True


def is_bind(volume: Volume) -> bool:
    """Whether its options say so: then the type counts for nothing."""
    return not _BIND_OPTIONS.isdisjoint(volume.mount_options)


def _of_volume(volume: Volume) -> Iterator[tuple[Place, str]]:
    """The kernel binds what `o` says to bind, whatever the type; other options name paths too."""
    place = volume.place.at("driver_opts")
    is_bound = is_bind(volume)
    is_path = volume.mount_type in BOUND_TYPES or "/" in volume.device
    if volume.device and (is_bound or (is_path and volume.mount_type not in _NETWORK_TYPES)):
        yield place.at("device"), volume.device
    for key, options in volume.options:
        for option in options.split(",") if key not in ("device", "type") else ():
            name, is_assigned, value = option.rpartition("=")
            parts = () if name.strip() in _SECRETS else value.split(":")  # As in lowerdir=/a:/b.
            for part in parts:
                if part.startswith(("/", "~")) or (is_assigned and name.endswith("dir")):
                    yield place, part
