"""Hypothesis strategies for commands, within the rules of the domain."""

from __future__ import annotations

from hypothesis import strategies as st

from domain.commands import (
    CheckHealth,
    Command,
    DeployCompose,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RegistryLogin,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.content import FILE_MODES, ExtraFile, env_file_of
from domain.deploy_options import DeployOptions, PullPolicy
from domain.project import ComposeFile, ProjectName

LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,10}", fullmatch=True)
PROJECTS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}", fullmatch=True).map(ProjectName)
COMPOSE_FILES = st.binary(max_size=50).map(lambda some: ComposeFile(b"#" + some))
VARIABLES = st.dictionaries(
    st.from_regex(r"X[A-Za-z0-9_.-]{0,10}", fullmatch=True), TEXTS, max_size=3
)
# Each below a directory of its own, so that none is another one's directory.
FILES = st.lists(
    st.tuples(WORDS, st.binary(max_size=30), st.sampled_from(FILE_MODES)), max_size=3
).map(
    lambda files: tuple(
        ExtraFile(f"conf-{number}/{name}", content, mode)
        for number, (name, content, mode) in enumerate(files)
    )
)
OPTIONS = st.builds(
    DeployOptions,
    pull=st.sampled_from(PullPolicy),
    wait=st.booleans(),
    wait_timeout_s=st.none() | st.floats(0, 86400, exclude_min=True),
    remove_orphans=st.booleans(),
    profiles=st.lists(WORDS | st.just("*"), max_size=3).map(tuple),
    auto_rollback=st.booleans(),
    labels=st.dictionaries(LINES.filter(bool), LINES, max_size=3).map(
        lambda labels: tuple(sorted(labels.items()))
    ),
    requested_by=LINES,
)
LOGINS = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?(:[0-9]{1,5})?", fullmatch=True),
    st.tuples(LINES.map(lambda text: "u" + text.replace(":", "")), TEXTS.filter(bool)),
    max_size=3,
).map(
    lambda logins: tuple(
        RegistryLogin(registry, username, password)
        for registry, (username, password) in sorted(logins.items())
    )
)
DEPLOYMENTS = st.builds(
    DeployCompose,
    PROJECTS,
    COMPOSE_FILES,
    st.none() | VARIABLES.map(env_file_of),
    FILES,
    OPTIONS,
    LOGINS,
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    DEPLOYMENTS,
    st.builds(DeployCompose, PROJECTS, COMPOSE_FILES),
    st.builds(PlanCompose, DEPLOYMENTS),
    st.builds(RollbackCompose, PROJECTS, st.none() | st.integers(1, 2**63 - 1), LINES),
    st.builds(RestartCompose, PROJECTS, st.lists(WORDS, max_size=3).map(tuple)),
    st.builds(StopCompose, PROJECTS),
    st.builds(RemoveCompose, PROJECTS, st.booleans()),
    st.builds(GetStatus, PROJECTS),
    st.just(ListProjects()),
    st.builds(ListRevisions, PROJECTS),
    st.just(CheckHealth()),
)
