"""What the benchmarks calculate and print. How long anything takes is no matter of a test."""

from __future__ import annotations

import os
from typing import Any

import pytest

from adapters.yaml.bounded_reader import parse_bounded
from adapters.yaml.bounds import YamlBounds
from benchmarks import procfs
from benchmarks.control_plane import Answer, BenchmarkFailed, judge_burst
from benchmarks.figures import MEBIBYTE, Figure, Unit, at_least, at_most
from benchmarks.large_compose import LargeCompose, inline_content, many_services
from benchmarks.looking import stage_figures
from benchmarks.report import Group, document, table
from benchmarks.sample import Sample, differences, ratios
from domain.validation import MAX_COMPOSE_FILE_BYTES, check_compose_content, check_compose_document


def test_a_sample_knows_its_middle_and_its_ends() -> None:
    odd, even = Sample((3.0, 1.0, 2.0)), Sample((4.0, 1.0, 2.0, 3.0))
    assert (odd.median, odd.low, odd.high) == (2.0, 1.0, 3.0)
    assert even.median == 2.5


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sample(())


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (1, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert Sample(tuple(float(n) for n in range(100, 0, -1))).percentile(percent) == value


def test_of_few_values_the_99th_percentile_is_the_largest() -> None:
    assert Sample((2.0, 9.0, 5.0)).percentile(99) == 9.0


def test_a_ratio_is_made_pair_by_pair_and_not_of_medians() -> None:
    ours, theirs = Sample((2.0, 30.0, 5.0)), Sample((1.0, 10.0, 5.0))
    assert ratios(ours, theirs) == Sample((2.0, 3.0, 1.0))
    assert differences(ours, theirs) == Sample((1.0, 20.0, 0.0))


def test_samples_of_different_length_make_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios(Sample((1.0, 2.0)), Sample((1.0,)))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((1.0, 1.0, 9.0), "met"), ((1.05,), "met"), ((1.0, 1.06, 1.06), "not met")],
)
def test_a_target_is_judged_on_the_median_and_its_limit_meets_it(
    values: tuple[float, ...], verdict: str
) -> None:
    assert Figure("ratio", Sample(values), Unit.RATIO, at_most(1.05)).verdict == verdict


def test_a_target_for_every_time_is_judged_on_the_worst() -> None:
    completed, busy = Sample((1000.0, 999.0, 1000.0)), Sample((0.0, 0.0, 1.0))
    assert Figure("completed", completed, Unit.COUNT, at_least(1000)).verdict == "met"
    all_of_them = at_least(1000, every_time=True)
    assert Figure("completed", completed, Unit.COUNT, all_of_them).verdict == "not met"
    assert Figure("busy", busy, Unit.COUNT, at_most(0)).verdict == "met"
    assert Figure("busy", busy, Unit.COUNT, at_most(0, every_time=True)).verdict == "not met"


def test_a_figure_without_a_target_has_no_verdict() -> None:
    assert Figure("any", Sample((1.0,)), Unit.SECONDS).verdict == ""


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (Unit.SECONDS, "1,234.57 s"),
        (Unit.MEBIBYTES, "1,234.6 MiB"),
        (Unit.KIBIBYTES, "1,234.6 KiB"),
        (Unit.PERCENT, "1,234.568 %"),
        (Unit.COUNT, "1,235"),
    ],
)
def test_a_unit_prints_the_decimals_that_are_worth_it(unit: Unit, text: str) -> None:
    assert unit.text(1234.5678) == text


def test_a_little_less_than_nothing_is_printed_as_nothing() -> None:
    assert Unit.MEBIBYTES.text(-0.04) == "0.0 MiB"


def test_a_table_has_a_row_a_figure_with_its_target_and_verdict() -> None:
    figures = [
        Figure("start", Sample((0.2, 0.3, 0.25)), Unit.SECONDS, at_most(0.4), "over TLS"),
        Figure("rate", Sample((1500.0,)), Unit.PER_SECOND, at_least(2000)),
    ]
    assert table(figures) == [
        "| figure | median   | min - max       | n | target     |         | notes    |",
        "|--------|----------|-----------------|---|------------|---------|----------|",
        "| start  | 0.25 s   | 0.20 s - 0.30 s | 3 | ≤ 0.40 s   | met     | over TLS |",
        "| rate   | 1,500 /s |                 | 1 | ≥ 2,000 /s | not met |          |",
    ]


def test_what_a_note_holds_does_not_break_the_table() -> None:
    (_, _, row) = table([Figure("any", Sample((1.0,)), Unit.COUNT, note="a | b\nc")])
    assert row.endswith(r"| a \| b c |")


def test_the_document_says_on_what_and_how_it_was_measured() -> None:
    figure = Figure("start", Sample((0.2,)), Unit.SECONDS)
    text = document(
        [Group("Start", [figure])], machine={"Python": "3.11.2"}, commands=["make bench", "make it"]
    )
    assert "\n    make bench\n    make it\n" in text
    assert "\n- Python: 3.11.2\n" in text
    assert "\n## Start\n\n| figure |" in text


def test_a_burst_counts_what_was_answered_and_what_was_busy() -> None:
    responses: list[dict[str, Any]] = [
        *({"job_id": job_id, "status": "IN_PROGRESS"} for job_id in "abc"),
        {"job_id": "a", "status": "COMPLETED", "data": {}},
        {"job_id": "c", "status": "FAILED", "data": {"reason": "busy"}},
        {"job_id": "b", "status": "FAILED"},
    ]
    burst = judge_burst("abc", responses, 0.5)
    assert (burst.completed, burst.busy, burst.seconds) == (1, 1, 0.5)


@pytest.mark.parametrize(("acknowledged", "ended"), [("aa", "ab"), ("ab", "aa"), ("ba", "bac")])
def test_a_burst_with_answers_mixed_up_is_no_measurement(acknowledged: str, ended: str) -> None:
    responses = [
        *({"job_id": job_id, "status": "IN_PROGRESS"} for job_id in acknowledged),
        *({"job_id": job_id, "status": "COMPLETED"} for job_id in ended),
    ]
    with pytest.raises(BenchmarkFailed, match="acknowledged once"):
        judge_burst("ab", responses, 1.0)


@pytest.mark.parametrize("large", [many_services("any:1"), inline_content("any:1")])
def test_a_large_compose_file_is_the_largest_that_the_agent_takes(large: LargeCompose) -> None:
    content = large.text.encode()
    assert MAX_COMPOSE_FILE_BYTES - 2000 < len(content) <= MAX_COMPOSE_FILE_BYTES
    check_compose_content(content)
    check_compose_document(parse_bounded(content, YamlBounds()))
    assert large.count > 500


def test_the_peak_of_memory_is_that_since_it_was_forgotten() -> None:
    before = b"x" * (64 * MEBIBYTE)
    del before
    procfs.forget_peak(os.getpid())
    idle = procfs.resident_bytes(os.getpid())
    assert procfs.peak_bytes(os.getpid()) < idle + 8 * MEBIBYTE
    size = 32 * MEBIBYTE
    block = b"x" * size  # Written to: memory that is only asked for is not resident.
    del block  # Before the peak is read, which is what sets it apart from what is resident.
    grown = procfs.peak_bytes(os.getpid()) - idle
    # The kernel keeps its counts in batches, so that a few pages may be missing.
    assert 0.9 * size <= grown < 2 * size


def test_what_is_shared_counts_less_than_what_is_resident() -> None:
    assert 0 < procfs.proportional_bytes(os.getpid()) <= procfs.resident_bytes(os.getpid())


def test_processor_time_is_that_of_user_and_system() -> None:
    before = os.times()
    used = procfs.cpu_seconds(os.getpid())
    after = os.times()
    # Each of the two is cut off to whole ticks, so that their sum may lack almost two.
    tolerance = 2.5 / os.sysconf("SC_CLK_TCK")
    assert before.user + before.system - tolerance < used
    assert used < after.user + after.system + tolerance


def test_the_stages_of_deployments_are_told_apart_from_what_lies_between_them() -> None:
    steps = [
        {"step": "validate", "state": "ok", "seconds": 0.2},
        {"step": "policy", "state": "ok", "seconds": 0.05},
        {"step": "apply", "state": "ok", "seconds": 1.0},
        {"step": "validate", "state": "ok", "seconds": 0.1},
        {"step": "verify", "state": "ok", "seconds": 0.05},
    ]
    answer = Answer({"data": {"steps": steps}}, acknowledged_s=0.001, ended_s=1.5)
    figures = {figure.name: figure.sample.median for figure in stage_figures([answer])}
    assert figures["validate + policy + verify"] == pytest.approx(400.0)
    assert figures["stage validate"] == pytest.approx(300.0)
    assert figures["stage apply"] == pytest.approx(1000.0)
    assert figures["in no stage"] == pytest.approx(100.0)


def test_a_result_without_stages_is_no_measurement() -> None:
    with pytest.raises(BenchmarkFailed, match="no stages"):
        stage_figures([Answer({"data": {}}, acknowledged_s=0.001, ended_s=1.5)])
