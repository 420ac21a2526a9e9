"""What the documents say is true of the code: a document that drifts is a failing test."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from adapters.compose.sh_runtime import OLDEST_COMPOSE
from adapters.compose.state import LISTING_BYTES
from adapters.debug_http.api import OPEN_COMMANDS
from adapters.wire.codec import MAX_DEPTH, MAX_FRAME_BYTES, MAX_RESPONSE_BYTES
from adapters.wire.messages import CommandType
from adapters.yaml.bounds import YamlBounds
from application.agent import (
    deploy_compose,
    goal,
    going_back,
    images,
    lookout,
    outbox,
    project_judge,
    registry_check,
    rollout,
    steps,
)
from application.agent.remove_compose import TAKE_OFF
from application.agent.restart_compose import RESTART
from application.agent.room import DispatchLimits
from application.agent.stop_compose import REMOVE
from domain.commands import MAX_REGISTRIES
from domain.content import MAX_CONTENT_BYTES, MAX_FILES, check_env
from domain.deploy_options import LONGEST_WAIT_S, MAX_LABELS, MAX_PROFILES, DeployOptions
from domain.drift import DriftKind
from domain.errors import InstaDeployError, InvalidInput
from domain.job import JobState, is_terminal
from domain.output import HEAD_BYTES, TAIL_BYTES
from domain.revision import KEPT_REVISIONS
from domain.validation import MAX_COMPOSE_FILE_BYTES, MAX_JOB_ID_LENGTH, MAX_PROJECT_NAME_LENGTH
from entrypoints.agent.settings import AgentSettings, variable_of
from entrypoints.configuration import DEFAULT_ENV_FILE

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.md"
DEPLOYMENTS: Final = ROOT / "docs" / "deployments.md"
PROTOCOL: Final = ROOT / "docs" / "protocol.md"
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NEVER_SENT: Final = {
    "protocol",
    "transport_lost",
    "transport_refused",
    # The control plane's, for those who use it.
    "forbidden",
    "too_many_attempts",
    "unauthenticated",
}

_KIB: Final = 1024
_MIB: Final = 1024 * 1024


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def section(document: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    _, found, rest = text_of(document).partition(f"# {heading}\n")
    assert found, f"{document.name} has no section {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the headings, with code marks removed."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    rulers = [number for number, row in enumerate(cells) if set(row[0]) == {"-"}]
    headings = {number - 1 for number in rulers}
    return [row for number, row in enumerate(cells) if number not in {*rulers, *headings}]


def without_code(document: Path) -> str:
    return re.sub(r"^```.*?^```", "", text_of(document), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The fragments that the headings of a document can be linked by."""
    headings = re.findall(r"^#+ (.+)$", without_code(document), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def settings_table() -> dict[str, str]:
    return {name: default for name, default, _ in rows(section(README, "Settings"))}


def test_the_table_names_every_setting_and_nothing_else() -> None:
    fields = {variable_of(field) for field in AgentSettings.model_fields}
    assert set(settings_table()) == fields | {"AGENT_ENV_FILE"}


@pytest.mark.parametrize("field", AgentSettings.model_fields)
def test_a_default_in_the_table_is_what_happens_when_nothing_is_set(
    field: str, bare_environment: pytest.MonkeyPatch
) -> None:
    default = getattr(AgentSettings(), field)
    written = settings_table()[variable_of(field)]
    if default is None:
        assert written == "none"
        return
    bare_environment.setenv(variable_of(field), written)
    assert getattr(AgentSettings(), field) == default


def test_the_env_file_that_is_read_by_default_is_the_one_in_the_table() -> None:
    assert settings_table()["AGENT_ENV_FILE"] == DEFAULT_ENV_FILE


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_document_names_no_setting_that_does_not_exist(document: Path) -> None:
    named = set(re.findall(r"\bAGENT_[A-Z_]*[A-Z]\b", text_of(document)))
    assert named <= set(settings_table())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(document))
    for target in targets:
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.is_relative_to(ROOT), f"{document.name} links to {target}, outside the project"
        assert found.exists(), f"{document.name} links to {target}, which does not exist"
        assert not fragment or fragment in anchors(found), f"{target} has no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_make_target_that_is_named_exists(document: Path) -> None:
    makefile = text_of(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, flags=re.MULTILINE))
    in_code = re.findall(r"^    .*|`[^`]+`", text_of(document), flags=re.MULTILINE)
    named = {name for code in in_code for name in re.findall(r"\bmake ([a-z][a-z0-9-]*)", code)}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_path_of_the_repository_that_is_named_exists(document: Path) -> None:
    tops = "domain|application(?!/(?:x-nd)?json)|adapters|entrypoints|tests|docs|deploy|examples"
    named = re.findall(rf"`((?:{tops})(?:/[\w.-]+)*/?)`", text_of(document))
    assert [path for path in named if not (ROOT / path).exists()] == []


def all_codes() -> set[str]:
    """Every code in the error tree, and every reason that a handler gives beside it."""
    kinds: list[type[InstaDeployError]] = [InstaDeployError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = {kind.code for kind in kinds if kind.__module__ == "domain.errors"}
    sources = [
        path
        for layer in ("domain", "application", "adapters")
        for path in (ROOT / layer).rglob("*.py")
    ]
    written = {
        found
        for path in sources
        for found in re.findall(r'(?:"reason": |_renamed\(.*, )"(\w+)"', text_of(path))
    }
    ends = {state.value for state in JobState if is_terminal(state)}
    return ours | written | (ends - {JobState.SUCCEEDED, JobState.FAILED})


def test_every_reason_of_a_failure_is_in_the_protocol_and_no_other() -> None:
    documented = [row[0] for row in rows(section(PROTOCOL, "What failure says"))]
    assert sorted(documented) == sorted(all_codes() - NEVER_SENT)


def test_the_table_of_reasons_says_retry_where_the_code_does() -> None:
    retry = {row[0]: row[-1] for row in rows(section(PROTOCOL, "What failure says"))}
    kinds: list[type[InstaDeployError]] = [InstaDeployError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if kind.__module__ == "domain.errors" and kind.code not in NEVER_SENT:
            assert retry[kind.code] == ("yes" if kind.retryable else "no"), kind


def test_every_command_is_in_the_readme_and_in_the_protocol() -> None:
    commands = {command.value for command in CommandType}
    assert {row[0] for row in rows(section(PROTOCOL, "Commands"))} >= commands
    assert (
        set(re.findall(r"^\*\*(\w+)\*\*", section(README, "Commands"), flags=re.MULTILINE))
        == commands
    )


YAML = YamlBounds()
QUEUE = DispatchLimits()


@pytest.mark.parametrize(
    ("document", "what", "limits"),
    [
        (README, "message to the agent", [f"{MAX_FRAME_BYTES // _MIB} MiB", "4,096 fragments"]),
        (README, "nesting of a message", [f"{MAX_DEPTH} levels"]),
        (README, "id", [f"{MAX_JOB_ID_LENGTH} characters"]),
        (README, "project name", [f"{MAX_PROJECT_NAME_LENGTH} characters"]),
        (README, "compose file", [f"{MAX_COMPOSE_FILE_BYTES // _MIB} MiB"]),
        (
            README,
            "compose file, variables and files of a deployment",
            [f"{MAX_CONTENT_BYTES // _MIB} MiB", f"{MAX_FILES} files"],
        ),
        (
            README,
            "profiles, labels, registry logins of a deployment",
            [f"{MAX_PROFILES}, {MAX_LABELS}, {MAX_REGISTRIES}"],
        ),
        (
            README,
            "how long a deployment may wait for its containers",
            [f"{LONGEST_WAIT_S / 3600:g} hours"],
        ),
        (README, "revisions of a project", [f"{KEPT_REVISIONS}"]),
        (README, "YAML depth", [f"{YAML.depth} levels"]),
        (README, "YAML nodes", [f"{YAML.nodes:,}", f"{YAML.expanded_nodes:,}"]),
        (
            README,
            "commands waiting and running",
            [f"{QUEUE.open_jobs:,}", f"{QUEUE.open_bytes // _MIB} MiB"],
        ),
        (README, "projects at the same time", [f"{QUEUE.running_projects}"]),
        (
            README,
            "output of one run of Compose",
            [f"{HEAD_BYTES // _KIB} KiB", f"{TAIL_BYTES // _KIB} KiB"],
        ),
        (README, "list of a project's containers", [f"{LISTING_BYTES // _MIB} MiB"]),
        (README, "response", [f"{MAX_RESPONSE_BYTES // _MIB} MiB"]),
        (README, "unsent responses", [f"{outbox.MAX_UNSENT:,}"]),
        (
            README,
            "unconfirmed results",
            [f"{outbox.MAX_UNCONFIRMED:,}", f"{outbox.MAX_BYTES // _MIB} MiB"],
        ),
        (README, "commands over HTTP at once", [f"{OPEN_COMMANDS}"]),
        (PROTOCOL, "message to the agent", [f"{MAX_FRAME_BYTES // _MIB} MiB"]),
        (PROTOCOL, "nesting of a command", [f"{MAX_DEPTH} levels"]),
        (PROTOCOL, "id", [f"{MAX_JOB_ID_LENGTH} characters"]),
        (PROTOCOL, "project_name", [f"{MAX_PROJECT_NAME_LENGTH} characters"]),
        (PROTOCOL, "compose file", [f"{MAX_COMPOSE_FILE_BYTES // _MIB} MiB"]),
        (
            PROTOCOL,
            "compose file, `env` and `files` together, decoded",
            [f"{MAX_CONTENT_BYTES // _MIB} MiB"],
        ),
        (PROTOCOL, "files", [f"{MAX_FILES}"]),
        (PROTOCOL, "response", [f"{MAX_RESPONSE_BYTES // _MIB} MiB"]),
        (
            PROTOCOL,
            "output of one run of Compose",
            [f"{HEAD_BYTES // _KIB} KiB", f"{TAIL_BYTES // _KIB} KiB"],
        ),
    ],
)
def test_a_limit_is_what_the_code_has(document: Path, what: str, limits: list[str]) -> None:
    table = {row[0]: row[1] for row in rows(section(document, SECTION_OF_LIMITS[document]))}
    for limit in limits:
        assert re.search(rf"(?<![\d,]){re.escape(limit)}\b", table[what])


def test_everything_that_a_deployment_may_carry_is_in_the_protocol_and_in_the_schema() -> None:
    documented = {row[0] for row in rows(section(PROTOCOL, "What a deployment may carry"))}
    everything = {"env", "files", "registry_auth", "deadline_s"}
    everything |= {field.name for field in fields(DeployOptions)}
    assert documented == everything
    schema = json.loads(text_of(ROOT / "docs" / "schemas" / "command.schema.json"))
    in_schema = set(schema["$defs"]["deployment"]["properties"])
    assert in_schema == everything - {"deadline_s"} | {"project_name", "compose_file_base64"}


def test_every_step_of_a_deployment_is_in_its_document() -> None:
    documented = [row[0] for row in rows(section(DEPLOYMENTS, "The steps"))]
    before = [steps.ENGINE, project_judge.VALIDATE, project_judge.POLICY]
    before += [registry_check.LOGIN, images.PULL, images.BUILD]
    after = [rollout.UNPAUSE, goal.APPLY, rollout.RELOAD, lookout.WAIT, lookout.VERIFY]
    after += [deploy_compose.RECORD]
    assert documented == before + after
    for name in (going_back.ROLL_BACK, going_back.TAKE_AWAY, TAKE_OFF, REMOVE, RESTART):
        assert f"`{name}`" in " ".join(section(DEPLOYMENTS, "The steps").split())


def test_what_differs_and_what_would_be_done_is_in_the_protocol() -> None:
    said = section(PROTOCOL, "What success says")
    actions = ("create", "recreate", "start", "restart", "scale", "keep", "remove")
    for word in (*map(str, DriftKind), *actions):
        assert f"`{word}`" in said


def test_the_variables_that_are_refused_are_those_of_the_document() -> None:
    listed = section(DEPLOYMENTS, "Variables")
    names = re.findall(r"`([A-Z][A-Z0-9_]*\*?)`", listed.partition("- `LD_*`")[2])
    allowed = {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"}
    assert allowed < set(names)
    for name in ["LD_X", *(name.replace("*", "X") for name in names)]:
        if name in allowed:
            check_env(f"{name}=1\n".encode())
            continue
        with pytest.raises(InvalidInput):
            check_env(f"{name}=1\n".encode())


SECTION_OF_LIMITS: Final = {README: "Limits", PROTOCOL: "Sizes"}


def test_the_oldest_compose_is_the_one_that_the_readme_names() -> None:
    oldest = ".".join(map(str, OLDEST_COMPOSE))
    assert f"Docker Compose must be {oldest} or newer" in section(README, "Limits")


def test_every_decision_is_listed_and_has_its_five_parts() -> None:
    directory = ROOT / "docs" / "adr"
    decisions = sorted(path for path in directory.glob("[0-9]*.md"))
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", text_of(directory / "README.md"))
    assert listed == [path.name for path in decisions]
    for path in decisions:
        parts = re.findall(r"^(# \d{4} |Status: |## \w+)", text_of(path), flags=re.MULTILINE)
        title = f"# {path.name[:4]} "
        assert parts == [title, "Status: ", "## Context", "## Decision", "## Consequences"], path


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_line_of_prose_fits_a_screen(document: Path) -> None:
    lines = without_code(document).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith(("|", "    "))] == []
