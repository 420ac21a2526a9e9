"""Judges what is to be deployed, before anything is changed: its sources, its model, the host's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.agent.handling import (
    Deadlines,
    Failed,
    StepTimedOut,
    compose_failure,
    run_step,
)
from application.agent.stages import Stages
from application.ports.clock import Clock
from application.ports.compose_reader import ComposeReader
from application.ports.compose_runtime import ComposeRuntime
from application.ports.host_paths import HostPaths
from application.ports.project_files import ProjectFiles
from domain.compose_model import ComposeModel
from domain.compose_sources import LocalSource, SourceKind, SourceWalk
from domain.content import ENV_FILE_NAME, ProjectContent
from domain.output import BoundedOutput
from domain.policy import HostPlaces, Policy, Violation, host_paths, judge
from domain.project import ComposeFile, Project, ProjectName
from domain.source_paths import directory_of, joined
from domain.validation import check_compose_document

VALIDATE: Final = "validate"
POLICY: Final = "policy"
MAX_VIOLATIONS: Final = 50
"""So many are told; a file that breaks more has to be sent again anyway."""
UNTOUCHED: Final = "nothing was changed"
ANY_SERVICE: Final = "*"
_OF_ENV_FILES: Final = (SourceKind.ENV_FILE, SourceKind.LABEL_FILE)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a project amounts to that lives in `directory`.

    `hashes` are of those services whose containers can be compared. `complaints` is what Compose had
    to say of it, warnings mostly.
    """

    model: ComposeModel
    directory: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    complaints: str = ""


class ProjectJudge:
    """Reads the compose file as Compose will, and asks the host's policy about it."""

    def __init__(
        self,
        *,
        files: ProjectFiles,
        reader: ComposeReader,
        runtime: ComposeRuntime,
        paths: HostPaths,
        policy: Policy,
        places: HostPlaces,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self._files = files
        self._reader = reader
        self._runtime = runtime
        self._paths = paths
        self._policy = policy
        self._places = places
        self._clock = clock
        self._deadlines = deadlines

    async def read(self, name: ProjectName, content: ProjectContent) -> frozenset[str]:
        """Judge everything that Compose would open, before it does.

        Returns the services whose environment comes from files, whose configuration cannot be
        compared later. Raises `InvalidInput`.
        """
        document = await self._reader.read_fully(content.file)
        check_compose_document(document)
        sent = {extra.path: extra.content for extra in content.files}
        walk = SourceWalk(document)
        while (source := walk.next_file()) is not None:
            found = sent.get(source.path)
            if found is None:
                found = await self._files.read(name, source.path)
            if found is not None:
                walk.add(source, await self._reader.read_fully(ComposeFile(found)))
        report = walk.report()
        if report.problems:
            raise report.problems[0]
        await self._check_links(name, report.sources, sent)
        return _with_env_files(report.sources)

    async def resolve(
        self,
        candidate: Project,
        profiles: Sequence[str],
        stages: Stages,
        *,
        directory: str = "",
        unhashed: frozenset[str] = frozenset(),
        consequence: str = UNTOUCHED,
    ) -> Judged | Failed:
        """Let Compose judge the files of a project; raises `InvalidInput` and `RuntimeUnavailable`.

        `directory` is where they will be, if that is not where they are.
        """
        directory = directory or candidate.directory
        output = BoundedOutput()
        with stages.speaking(VALIDATE) as stage:
            try:
                exit_code, resolved = await run_step(
                    self._clock,
                    "docker compose config",
                    self._deadlines.check_s,
                    self._runtime.resolve(candidate, profiles, output),
                )
            except StepTimedOut as exc:
                stage.fail()
                return Failed(f"{exc}; {consequence}", data={"reason": "deadline"})
            complaints = _without_path(output.text(), candidate)
            if complaints:
                stage.say(complaints.rstrip("\n"))
            if resolved is None:
                stage.fail()
                failure = compose_failure(
                    "docker compose config", exit_code, complaints, consequence=consequence
                )
                assert failure is not None
                return failure
            document = _moved(resolved.document, candidate.directory, directory)
            assert isinstance(document, Mapping)
            model = ComposeModel.from_document(document)
            stage.say(
                f"{len(model.services)} services: {', '.join(one.name for one in model.services)}"
            )
            hashes = {
                service: one
                for service, one in resolved.hashes.items()
                if service not in unhashed and ANY_SERVICE not in unhashed
            }
            if directory != candidate.directory:
                hashes = {}  # They are of paths that will be others.
            return Judged(model, directory, hashes, complaints)

    async def violations(
        self, name: ProjectName, model: ComposeModel, directory: str
    ) -> tuple[Violation, ...]:
        """What the host's policy does not allow of a project that would live in `directory`."""
        named = {one.path for one in host_paths(model, directory)} | {directory}
        real = await self._paths.real_paths(named)
        places = replace(self._places, real_paths={**self._places.real_paths, **real})
        return judge(model, self._policy, project=name, project_directory=directory, places=places)

    async def allow(
        self,
        name: ProjectName,
        content: ProjectContent,
        judged: Judged,
        stages: Stages,
        *,
        consequence: str = UNTOUCHED,
    ) -> Failed | None:
        """Ask the policy, and say no in its words; None where all is allowed."""
        with stages.speaking(POLICY) as stage:
            violations = await self.violations(name, judged.model, judged.directory)
            if not violations:
                stage.say(f"allowed by the host's policy ({self._policy.name})")
                return None
            stage.fail()
            lines = await self._reader.lines_of(content.file, {one.path for one in violations})
            told = [_told(one, lines.get(one.path)) for one in violations[:MAX_VIOLATIONS]]
            for one in told:
                stage.say(str(one["message"]))
            more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
            return Failed(
                f"refused by this host's policy; {consequence}",
                cause=f"{told[0]['message']}{more}",
                logs="".join(f"{one['message']}\n" for one in told),
                data={"reason": "policy", "policy": self._policy.name, "violations": told},
            )

    async def _check_links(
        self, name: ProjectName, sources: Sequence[LocalSource], sent: Mapping[str, bytes]
    ) -> None:
        """What Compose reads while it parses must be files of the project, and no ways out of it."""
        paths = {source.path for source in sources if source.kind in _OF_ENV_FILES}
        # Beside a file that is included, Compose reads the `.env` without being asked.
        paths |= {
            joined(directory_of(source.path), ENV_FILE_NAME) or ENV_FILE_NAME
            for source in sources
            if source.kind is SourceKind.INCLUDE
        }
        for path in sorted(paths | {ENV_FILE_NAME}):
            if path not in sent:
                await self._files.read(name, path)


def _moved(value: object, from_directory: str, to_directory: str) -> object:
    """The resolved model as it will be when its files are where they belong."""
    if from_directory == to_directory:
        return value
    match value:
        case str():
            return value.replace(from_directory, to_directory)
        case Mapping():
            return {key: _moved(one, from_directory, to_directory) for key, one in value.items()}
        case list():
            return [_moved(one, from_directory, to_directory) for one in value]
        case _:
            return value


def _with_env_files(sources: Sequence[LocalSource]) -> frozenset[str]:
    """Compose hashes the variables of env files in one way here and in another way for containers."""
    named = set()
    for source in sources:
        if source.kind is SourceKind.ENV_FILE:
            keys = source.where.split(".")
            is_in_first_file = keys[0] == "services" and len(keys) > 1
            named.add(keys[1] if is_in_first_file else ANY_SERVICE)
    return frozenset(named)


def _told(violation: Violation, line: int | None) -> dict[str, object]:
    where = f" (line {line} of the compose file)" if line is not None else ""
    return {
        "rule": violation.rule,
        "service": violation.service,
        "where": violation.where,
        "line": line,
        "allowed_by": violation.allowed_by,
        "message": f"{violation.message}{where}",
    }


def _without_path(text: str, candidate: Project) -> str:
    """Compose names the file it was given, which has another name than its author knows."""
    return text.replace(candidate.compose_file, "the compose file").replace(
        candidate.directory, "the project's directory"
    )
