"""Collects a Compose project from a directory, so that it can be sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from adapters.project_folder.folder import ProjectFolder
from adapters.project_folder.locating import Beginning, begin
from adapters.project_folder.merging import merge
from adapters.project_folder.tree import ProjectTree
from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.collecting import CannotCollect, CollectedProject, content_of
from domain.collecting_env import variables_of
from domain.collecting_limits import excesses
from domain.collecting_needs import Findings, Need, NeedKind
from domain.collecting_variables import interpolated
from domain.collecting_walk import ComposePart, ProjectWalk
from domain.content import (
    COMPOSE_FILE_NAME,
    ENV_FILE_NAME,
    MAX_CONTENT_BYTES,
    ExtraFile,
    check_env,
)
from domain.errors import InvalidInput
from domain.validation import (
    MAX_COMPOSE_FILE_BYTES,
    check_compose_content,
    check_compose_document,
)


def collect(
    directory: Path,
    *,
    compose_files: Sequence[Path] = (),
    env_files: Sequence[Path] = (),
    extra_files: Sequence[Path] = (),
) -> CollectedProject:
    """What a project consists of, as Compose would find it here.

    Relative paths are relative to `directory`. Without `compose_files` it is the one that Compose
    finds there, with its override; several are merged, in their order. The project's directory is
    that of the first. `env_files` take the place of its `.env`; of several, the later ones win.
    `extra_files` are files or directories in the project's directory that no key names. Nothing is
    changed. Blocks; where compose files are merged, for up to a minute.

    Raises `CannotCollect`, with all problems of the step that found some.
    """
    beginning = begin(directory, compose_files, env_files)
    compose, document = _one_document(beginning)
    shown = " + ".join(file.shown for file in beginning.files)
    findings, _ = _walked(beginning, document, shown)
    findings.notes[:0] = beginning.notes
    for path in extra_files:
        _add_extra(findings, beginning.folder, directory / path)
    env = beginning.env.content
    tree = ProjectTree(beginning.folder, findings, _written_by_agent(beginning))
    tree.take(findings.needs)
    found = sorted(tree.files.values(), key=lambda file: file.path)
    _raise_for([*_problems_of_env(env), *findings.problems, *excesses(found, compose, env)])
    content = content_of(compose, env, _read_all(beginning.folder, tree))
    return CollectedProject.of(
        content,
        name=_name_of(document, beginning.env.variables),
        compose_path=shown,
        notes=findings.notes,
    )


def _one_document(beginning: Beginning) -> tuple[bytes, Mapping[str, object]]:
    """The compose file that is sent, and what it says; raises `CannotCollect`."""
    files = beginning.files
    if len(files) == 1:
        compose, shown = files[0].content, files[0].shown
    else:
        _check_before_merging(beginning)
        shown = " + ".join(file.shown for file in files)
        paths = [file.full_path for file in files]
        compose = merge(beginning.folder.root, paths, os.environ)
    try:
        check_compose_content(compose)
        document = parse_fully(compose, YamlBounds())
        check_compose_document(document)
    except InvalidInput as exc:
        raise CannotCollect([f"{shown}: {exc.rule}"]) from None
    assert isinstance(document, Mapping)
    return compose, document


def _check_before_merging(beginning: Beginning) -> None:
    """Docker Compose opens, and fetches, what they include: nothing that the agent would refuse."""
    problems: list[str] = []
    for file in beginning.files:
        try:
            document = parse_fully(file.content, YamlBounds())
        except InvalidInput as exc:
            problems.append(f"{file.shown}: {exc.rule}")
            continue
        findings, parts = _walked(beginning, document, file.shown)
        problems += findings.problems
        problems += [
            f"{part.where}: has variables of its own in {path}, which are lost where compose files "
            f"are merged; put them in the project's {ENV_FILE_NAME}"
            for part in parts
            for path in part.env_files
            if _is_there(beginning.folder, path)
        ]
    _raise_for(problems)


def _is_there(folder: ProjectFolder, path: str) -> bool:
    try:
        return folder.look(path) is not None
    except InvalidInput:
        return True


def _walked(
    beginning: Beginning, document: object, shown: str
) -> tuple[Findings, list[ComposePart]]:
    """Goes through all compose files that the document leads to, each of which it reads."""
    walk = ProjectWalk(document, shown=shown, variables=beginning.env.variables)
    parts: list[ComposePart] = []
    problems: list[str] = []
    while (part := walk.next_part()) is not None:
        parts.append(part)
        try:
            if beginning.folder.look(part.path) is None:
                continue  # The need that it is tells that it is not there.
            content = beginning.folder.read(part.path, MAX_COMPOSE_FILE_BYTES)
            env = _env_of_part(beginning.folder, part, walk.variables_before(part))
        except InvalidInput as exc:
            problems.append(f"{part.where}: {exc}")
            continue
        try:
            walk.add(part, parse_fully(content, YamlBounds()), env)
        except InvalidInput as exc:
            problems.append(f"{part.path}: {exc.rule}")
    findings = walk.findings()
    findings.problems += problems
    return findings, parts


def _env_of_part(
    folder: ProjectFolder, part: ComposePart, known: Mapping[str, str]
) -> dict[str, str]:
    variables: dict[str, str] = {}
    for path in part.env_files:
        if folder.look(path) is not None:
            content = folder.read(path, MAX_CONTENT_BYTES)
            variables |= variables_of(content, path, {**variables, **known})
    return variables


def _problems_of_env(env: bytes | None) -> list[str]:
    try:
        if env is not None:
            check_env(env)
    except InvalidInput as exc:
        return [str(exc)]
    return []


def _add_extra(findings: Findings, folder: ProjectFolder, path: Path) -> None:
    # Its directory's links are followed, as those of the project's directory are; not its own.
    full = path.parent.resolve() / path.name
    within = os.path.relpath(full, folder.root)
    if within == ".." or within.startswith("../"):
        findings.problem(f"{path}: must stay in the project's directory")
    else:
        findings.needs.append(Need(within, "extra files", NeedKind.FILE_OR_DIRECTORY))


def _written_by_agent(beginning: Beginning) -> frozenset[str]:
    """What need not be sent as a file, since the agent writes just that."""
    written = set()
    if beginning.env.content is not None and beginning.env.is_own:
        written.add(ENV_FILE_NAME)
    if len(beginning.files) == 1 and beginning.files[0].shown == COMPOSE_FILE_NAME:
        written.add(COMPOSE_FILE_NAME)
    return frozenset(written)


def _read_all(folder: ProjectFolder, tree: ProjectTree) -> list[ExtraFile]:
    files: list[ExtraFile] = []
    problems: list[str] = []
    for path, found in tree.files.items():
        try:
            # What has grown since its size was judged is refused.
            content = folder.read_entry(tree.entries[path], path, found.size)
            files.append(ExtraFile(path, content, found.mode))
        except InvalidInput as exc:
            problems.append(str(exc))
    _raise_for(problems)
    return files


def _name_of(document: Mapping[str, object], variables: Mapping[str, str]) -> str | None:
    name = document.get("name")
    if isinstance(name, str):
        with suppress(InvalidInput):  # Told as a problem already.
            return interpolated(name, variables).text or None
    return None


def _raise_for(problems: Iterable[str]) -> None:
    if found := list(problems):
        raise CannotCollect(found)
