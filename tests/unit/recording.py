"""Records for the tests of what becomes of them: strategies, and one of every kind."""

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
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
    digest_of,
    without_private,
)
from domain.deploy_options import DeployOptions, PullPolicy
from domain.job import JobState, is_terminal
from domain.project import ComposeFile, ProjectName
from domain.records import (
    CancelRequested,
    EpochBegun,
    GenerationReached,
    JobAccepted,
    JobFinished,
    JobRejected,
    JobRepeated,
    Moment,
    NoticeKept,
    NoticeKind,
    PeerConfirmed,
    PeerMet,
    ProcessIdentity,
    Record,
    ResultsDelivered,
    SequencesStand,
    StepExit,
    StepExited,
    StepStarted,
    StepStarting,
    Tombstone,
)
from tests.unit.command_strategies import COMMANDS as ALL_COMMANDS

COMMANDS: st.SearchStrategy[Command] = ALL_COMMANDS.map(without_private)
"""As a journal holds them."""

TEXT = st.text(max_size=20) | st.just("\ud800")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(TEXT, JSON, max_size=3)
NUMBERS = st.integers()
MOMENTS = st.builds(Moment, TEXT, FINITE)
PROCESSES = st.builds(ProcessIdentity, NUMBERS, NUMBERS, TEXT)
EXITS = st.builds(StepExit, NUMBERS, NUMBERS, TEXT, NUMBERS, NUMBERS, TEXT, FINITE)
STATES = st.sampled_from(JobState)
OVER = st.sampled_from([state for state in JobState if is_terminal(state)])
SOME = st.none() | NUMBERS

RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(EpochBegun, TEXT),
    st.builds(PeerMet, TEXT),
    st.builds(
        JobAccepted,
        TEXT,
        st.none() | COMMANDS,
        TEXT,
        MOMENTS,
        SOME,
        SOME,
        st.none() | FINITE,
        st.booleans(),
        TEXT,
    ),
    st.builds(JobRepeated, TEXT, NUMBERS, STATES),
    st.builds(JobRejected, TEXT, TEXT, TEXT, NUMBERS, DATA),
    st.builds(CancelRequested, TEXT, SOME),
    st.builds(StepStarting, TEXT, TEXT, NUMBERS, TEXT, TEXT),
    st.builds(StepStarted, TEXT, TEXT, NUMBERS, PROCESSES),
    st.builds(StepExited, TEXT, TEXT, NUMBERS, st.none() | EXITS),
    st.builds(JobFinished, TEXT, OVER, TEXT, TEXT, DATA, FINITE),
    st.builds(ResultsDelivered, st.lists(TEXT, max_size=3).map(tuple)),
    st.builds(PeerConfirmed, NUMBERS, NUMBERS),
    st.builds(GenerationReached, TEXT, NUMBERS),
    st.builds(
        SequencesStand,
        NUMBERS,
        st.lists(NUMBERS, max_size=3).map(tuple),
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    st.builds(
        NoticeKept,
        NUMBERS,
        st.sampled_from(NoticeKind),
        TEXT,
        st.none() | STATES,
        TEXT,
        TEXT,
        DATA,
    ),
)
TOMBSTONES = st.builds(
    Tombstone, st.text(max_size=20), st.binary(min_size=32, max_size=32).map(bytes.hex), OVER
)

DEPLOY = DeployCompose(ProjectName("blog"), ComposeFile(b"services: {web: {image: web}}\n"))
STOP = StopCompose(ProjectName("blog"))
BOOT = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SAMPLES: list[Record] = [
    EpochBegun("1f0c"),
    PeerMet("c0de"),
    JobAccepted("j1", DEPLOY, digest_of(DEPLOY), Moment(BOOT, 12.5), 1, 7, 60.0),
    JobAccepted("j2", STOP, digest_of(STOP), Moment(BOOT, 13.0)),
    JobAccepted("j3", None, digest_of(STOP), Moment(BOOT, 14.0), peer_seq=3),
    JobAccepted("j4", GetStatus(ProjectName("shop")), "", Moment(BOOT, 15.0)),
    JobAccepted("j5", CheckHealth(), "", Moment(BOOT, 16.0)),
    JobRepeated("j1", 4, JobState.RUNNING),
    JobRejected("j6", "no_space", "no space left", 5),
    JobRejected("j7", "invalid_input", "project_name: is missing", 6, {"field": "project_name"}),
    CancelRequested("j1"),
    CancelRequested("j1", 7),
    StepStarting("j1", "apply", 1, "70ce7", BOOT),
    StepStarted("j1", "apply", 1, ProcessIdentity(4711, 123456, BOOT)),
    StepExited("j1", "apply", 1, None),
    StepExited("j1", "apply", 2, StepExit(-9)),
    StepExited("j1", "apply", 3, StepExit(0, 9, "5ha256", 5, 3, "deadline")),
    JobFinished("j1", JobState.SUCCEEDED, "d\u00e9ploy\u00e9\n\U0001f680", "", {}, 1790000000.25),
    JobFinished("j2", JobState.FAILED, "", "no engine", {"a": [1, 2.5, None, True]}, 1790000001.0),
    JobFinished("j3", JobState.CANCELED, "", "", {}, 1790000002.0),
    JobFinished("j4", JobState.EXPIRED, "", "", {}, 1790000003.0),
    JobFinished("j5", JobState.SUPERSEDED, "", "", {}, 1790000004.0),
    ResultsDelivered(("j1", "j2")),
    PeerConfirmed(8),
    PeerConfirmed(9, 4),
    GenerationReached("blog", 7),
    SequencesStand(9, (11, 12), 8, 4, 13),
    NoticeKept(9, NoticeKind.ACCEPT, "j1"),
    NoticeKept(10, NoticeKind.REPEAT, "j1", JobState.CANCELING),
    NoticeKept(11, NoticeKind.REJECT, "j7", None, "busy", "busy: later", {"field": "id"}),
    NoticeKept(12, NoticeKind.RESULT, "j1"),
]
"""Every kind of record, every state and every kind of value: what the golden files hold."""

FULL = DeployCompose(
    ProjectName("blog"),
    ComposeFile(b"services: {}"),
    options=DeployOptions(
        pull=PullPolicy.ALWAYS,
        wait=False,
        wait_timeout_s=12.5,
        remove_orphans=True,
        profiles=("a",),
        auto_rollback=False,
        labels=(("ticket", "OPS-1"),),
        requested_by="ann",
    ),
)
_BLOG = ProjectName("blog")
LATER: list[Record] = [
    JobAccepted("j1", FULL, digest_of(FULL), Moment(BOOT, 12.5), is_private=True, project="blog"),
    JobAccepted("j2", PlanCompose(FULL), "", Moment(BOOT, 13.0), 4),
    JobAccepted("j3", RollbackCompose(_BLOG, 3, "ann"), "", Moment(BOOT, 14.0), project="blog"),
    JobAccepted("j4", RestartCompose(_BLOG, ("web", "db")), "", Moment(BOOT, 15.0), project="blog"),
    JobAccepted("j5", RemoveCompose(_BLOG, volumes=True), "", Moment(BOOT, 16.0), project="blog"),
    JobAccepted("j6", ListProjects(), "", Moment(BOOT, 17.0), 5),
    JobAccepted("j7", ListRevisions(_BLOG), "", Moment(BOOT, 18.0), 6),
    JobAccepted("j8", None, "d1g357", Moment(BOOT, 19.0), project="blog"),
    StepExited("j1", "apply", 1, StepExit(0, 9, "5ha256", 5, 3, "", 1.25)),
    JobAccepted("j9", None, "d1g357", Moment(BOOT, 20.0), project="blog", spelling="Blog"),
]
"""What came with revisions and after: an agent before them wrote none of it; no golden file holds it."""

BURIED = [
    Tombstone(f"j{number}", f"{number:064x}", state)
    for number, state in enumerate(state for state in JobState if is_terminal(state))
]
"""What the golden file of tombstones holds."""
