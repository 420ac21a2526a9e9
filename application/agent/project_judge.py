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
from application.ports.compose_runtime import ComposeRuntime, ResolvedProject
from application.ports.host_paths import HostPaths
from application.ports.project_files import ProjectFiles
from domain.compose_model import ComposeModel
from domain.compose_sources import LocalSource, SourceKind, SourceWalk
from domain.content import ENV_FILE_NAME, ProjectContent
from domain.expectation import completing
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
_CONFIG: Final = "docker compose config"
_OF_ENV_FILES: Final = (SourceKind.ENV_FILE, SourceKind.LABEL_FILE)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a project amounts to that lives in `directory`.

    `hashes` are those that its containers have, by service. `complaints` is what Compose had
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

    async def read(self, name: ProjectName, content: ProjectContent) -> bool:
        """Judge everything that Compose would open, before it does.

        Returns whether variables of services come from files: see `resolve`. Raises `InvalidInput`.
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
        return any(source.kind is SourceKind.ENV_FILE for source in report.sources)

    async def resolve(
        self,
        candidate: Project,
        profiles: Sequence[str],
        stages: Stages,
        *,
        directory: str = "",
        has_env_files: bool = False,
        consequence: str = UNTOUCHED,
    ) -> Judged | Failed:
        """Let Compose judge the files of a project; raises `InvalidInput` and `RuntimeUnavailable`.

        `directory` is where they will be, if that is not where they are.
        """
        directory = directory or candidate.directory
        output = BoundedOutput()
        with stages.speaking(VALIDATE) as stage:
            try:
                work = self._resolved(
                    candidate, profiles, directory, output, has_env_files=has_env_files
                )
                exit_code, resolved = await run_step(
                    self._clock, _CONFIG, self._deadlines.check_s, work
                )
            except StepTimedOut as exc:
                stage.fail()
                return Failed(f"{exc}; {consequence}", data={"reason": "deadline"})
            complaints = _without_path(output.text(), candidate)
            if complaints:
                stage.say(complaints.rstrip("\n"))
            if resolved is None:
                stage.fail()
                failure = compose_failure(_CONFIG, exit_code, complaints, consequence=consequence)
                assert failure is not None
                return failure
            model = ComposeModel.from_document(resolved.document)
            completing(model)  # When it is asked the next time, it is too late to refuse anything.
            names = [one.name for one in model.services]
            word = "service" if len(names) == 1 else "services"
            stage.say(f"{len(names)} {word}: {', '.join(names)}")
            return Judged(model, directory, resolved.hashes, complaints)

    async def _resolved(
        self,
        candidate: Project,
        profiles: Sequence[str],
        directory: str,
        output: BoundedOutput,
        *,
        has_env_files: bool,
    ) -> tuple[int, ResolvedProject | None]:
        """What they amount to in their directory, with the hashes that containers have then.

        Compose tells these of the files, in the same time. Of files that are not in their places yet,
        or with variables in other ones, it tells them of what it has resolved, one call later.
        """
        if directory == candidate.directory and not has_env_files:
            return await self._runtime.resolve(candidate, profiles, output)
        exit_code, found = await self._runtime.resolve(candidate, profiles, output, hashed=False)
        if found is None:
            return exit_code, None
        document = _moved(found.document, candidate.directory, directory)
        assert isinstance(document, Mapping)
        hashes = await self._runtime.hashes(candidate.name, directory, document)
        return exit_code, ResolvedProject(document, hashes)

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
