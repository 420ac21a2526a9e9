"""Hypothesis strategies for the messages of protocol v2, within the rules of the protocol."""

from __future__ import annotations

from hypothesis import strategies as st

from domain.job import JobState, is_terminal
from domain.link_messages import (
    Accept,
    Acknowledge,
    Bye,
    CancelMessage,
    Challenge,
    CommandMessage,
    Enroll,
    Enrolled,
    GoAway,
    Heartbeat,
    Hello,
    MissedMessage,
    OutputChunk,
    OutputPosition,
    PeerError,
    Reject,
    Result,
    RunningJob,
    StepOutput,
    Welcome,
)
from tests.unit.command_strategies import COMMANDS

ANY_CHARACTER = st.characters(exclude_categories=[])
TEXT = st.text(ANY_CHARACTER, max_size=30)
LABELS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30
)
NONCES = LABELS.map(lambda text: (text * 16)[:256])
JOB_IDS = st.text(ANY_CHARACTER, min_size=1, max_size=30)
COUNTS = st.integers(0, 2**63 - 1)
ORDINALS = st.integers(1, 2**63 - 1)
ACKS = st.none() | COUNTS
DATA = st.dictionaries(
    TEXT,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)
POSITIONS = st.builds(OutputPosition, LABELS, ORDINALS, COUNTS)
OUTPUT_SEEN = st.dictionaries(JOB_IDS, POSITIONS, max_size=3)
STATES = st.sampled_from(JobState)
SIGNED = st.just("") | LABELS
"""A key or signature, which need not be there; the wire does not look at what it is."""
HEARD = (
    st.builds(Challenge, NONCES, TEXT, SIGNED)
    | st.builds(Enrolled, LABELS, LABELS)
    | st.builds(Welcome, LABELS, LABELS, COUNTS, COUNTS, st.floats(1, 60), OUTPUT_SEEN, SIGNED)
    | st.builds(
        CommandMessage,
        ORDINALS,
        LABELS,
        COMMANDS,
        st.none() | ORDINALS,
        st.none() | st.floats(0, 1e18, exclude_min=True),
        ACKS,
    )
    | st.builds(CancelMessage, ORDINALS, JOB_IDS, ACKS)
    | st.builds(Acknowledge, COUNTS, OUTPUT_SEEN, ACKS)
    | st.builds(MissedMessage, ORDINALS, ACKS)
    | st.builds(Heartbeat, st.just({}), ACKS)
    | st.builds(GoAway, st.floats(0, 3600), TEXT)
    | st.builds(PeerError, TEXT, TEXT)
    | st.builds(Bye, TEXT)
)

SAID = (
    st.builds(
        Hello,
        NONCES,
        LABELS,
        LABELS | st.just(""),
        COUNTS,
        TEXT,
        TEXT,
        TEXT,
        st.lists(TEXT, max_size=3).map(tuple),
        st.lists(st.builds(RunningJob, JOB_IDS, STATES, st.none() | POSITIONS), max_size=3).map(
            tuple
        ),
        st.dictionaries(JOB_IDS, ORDINALS, max_size=3),
        SIGNED,
        SIGNED,
    )
    | st.builds(Enroll, NONCES, LABELS, LABELS, LABELS, TEXT, TEXT, TEXT)
    | st.builds(Accept, ORDINALS, JOB_IDS, STATES, st.booleans(), ACKS)
    | st.builds(Reject, ORDINALS, JOB_IDS, LABELS, TEXT, DATA, ACKS)
    | st.builds(
        OutputChunk,
        JOB_IDS,
        POSITIONS,
        st.binary(max_size=60) | TEXT.map(lambda text: text.encode("utf-8", "replace")),
        ACKS,
    )
    | st.builds(
        lambda state, error, **fields: Result(
            state=state, error="" if state is JobState.SUCCEEDED else error, **fields
        ),
        state=st.sampled_from([state for state in JobState if is_terminal(state)]),
        error=TEXT,
        seq=ORDINALS,
        job_id=JOB_IDS,
        logs=TEXT,
        data=DATA,
        output=st.lists(
            st.builds(
                StepOutput,
                LABELS,
                ORDINALS,
                st.none() | st.integers(-64, 255),
                COUNTS,
                st.just("") | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
                st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
        ack=ACKS,
    )
    | st.builds(Acknowledge, COUNTS)
    | st.builds(MissedMessage, ORDINALS, ACKS)
    | st.builds(Heartbeat, DATA, ACKS)
    | st.builds(PeerError, TEXT, TEXT)
    | st.builds(Bye, TEXT)
)
