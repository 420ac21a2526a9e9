"""How much of what jobs print is sent ahead of what the peer has."""

from __future__ import annotations

from domain.link_messages import OutputChunk, OutputPosition
from domain.output_flow import OUTPUT_WINDOW_BYTES, OutputFlow

KIB = 1024


def offer(flow: OutputFlow, offset: int, size: int, *, job: str = "a", attempt: int = 1) -> None:
    flow.offer(OutputChunk(job, OutputPosition("apply", attempt, offset), b"x" * size))


def seen(
    flow: OutputFlow, offset: int, *, job: str = "a", step: str = "apply", attempt: int = 1
) -> None:
    flow.note_seen({job: OutputPosition(step, attempt, offset)})


def test_it_begins_at_the_beginning() -> None:
    assert OutputFlow().wanted("a", "apply", 1) == (0, OUTPUT_WINDOW_BYTES)


def test_it_goes_on_where_the_peer_is() -> None:
    flow = OutputFlow()
    seen(flow, 100)
    assert flow.wanted("a", "apply", 1) == (100, OUTPUT_WINDOW_BYTES)
    assert flow.wanted("b", "apply", 1) == (0, OUTPUT_WINDOW_BYTES)


def test_one_piece_waits_at_a_time() -> None:
    flow = OutputFlow()
    offer(flow, 0, 10)
    assert flow.wanted("a", "apply", 1)[1] == 0
    assert flow.wanted("b", "apply", 1)[1] == 0
    chunk = flow.next()
    assert chunk is not None
    assert chunk.position.offset == 0
    assert flow.next() is None
    assert flow.wanted("a", "apply", 1) == (10, OUTPUT_WINDOW_BYTES - 10)


def test_no_more_than_the_window_is_sent_ahead() -> None:
    flow = OutputFlow()
    for offset in range(0, OUTPUT_WINDOW_BYTES, 64 * KIB):
        offer(flow, offset, 64 * KIB)
        flow.next()
    assert flow.wanted("a", "apply", 1) == (OUTPUT_WINDOW_BYTES, 0)
    seen(flow, 64 * KIB)
    assert flow.wanted("a", "apply", 1) == (OUTPUT_WINDOW_BYTES, 64 * KIB)


def test_the_rest_of_a_step_that_is_over_does_not_wait_for_the_peer() -> None:
    flow = OutputFlow()
    offer(flow, 0, OUTPUT_WINDOW_BYTES)
    flow.next()
    assert flow.wanted("a", "apply", 1)[1] == 0
    assert flow.wanted("a", "apply", 1, is_over=True) == (OUTPUT_WINDOW_BYTES, OUTPUT_WINDOW_BYTES)


def test_a_peer_that_is_ahead_of_what_was_sent_here_is_believed() -> None:
    flow = OutputFlow()
    offer(flow, 0, 10)
    flow.next()
    seen(flow, 50)
    assert flow.wanted("a", "apply", 1) == (50, OUTPUT_WINDOW_BYTES)


def test_another_attempt_begins_anew() -> None:
    flow = OutputFlow()
    seen(flow, 500, attempt=1)
    assert flow.wanted("a", "apply", 2) == (0, OUTPUT_WINDOW_BYTES)
    assert flow.wanted("a", "validate", 1) == (0, OUTPUT_WINDOW_BYTES)
    offer(flow, 0, 20, attempt=2)
    flow.next()
    assert flow.wanted("a", "apply", 2) == (20, OUTPUT_WINDOW_BYTES - 20)


def test_what_the_peer_has_of_a_step_stays_when_it_tells_of_another() -> None:
    flow = OutputFlow()
    seen(flow, 500)
    seen(flow, 20, step="validate", attempt=2)
    assert flow.wanted("a", "apply", 1) == (500, OUTPUT_WINDOW_BYTES)
    assert flow.wanted("a", "validate", 2) == (20, OUTPUT_WINDOW_BYTES)


def test_what_was_sent_of_a_step_is_not_wanted_again_behind_another() -> None:
    flow = OutputFlow()
    offer(flow, 0, 10)
    flow.next()
    offer(flow, 0, 20, attempt=2)
    flow.next()
    assert flow.wanted("a", "apply", 1)[0] == 10


def test_what_is_forgotten_begins_anew() -> None:
    flow = OutputFlow()
    seen(flow, 500)
    flow.forget("a")
    flow.forget("a")
    assert flow.wanted("a", "apply", 1) == (0, OUTPUT_WINDOW_BYTES)
