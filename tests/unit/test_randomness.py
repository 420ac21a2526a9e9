"""Ids in the order of time, and tokens that nobody guesses."""

from __future__ import annotations

import re
import threading

from adapters.secrets.randomness import SystemRandomness
from application.ports.randomness import Randomness

ID = re.compile(r"job_[0-9A-HJKMNP-TV-Z]{26}")


def test_it_is_the_port() -> None:
    randomness: Randomness = SystemRandomness()
    assert ID.fullmatch(randomness.new_id("job"))


def test_an_id_says_when_it_was_made() -> None:
    times = iter([0, 1, 1_700_000_000_000, 2**48 - 2])
    randomness = SystemRandomness(lambda: next(times))
    ids = [randomness.new_id("job") for _ in range(4)]
    assert ids == sorted(ids)
    assert ids[0][4:14] == "0000000000"
    assert ids[1][4:14] == "0000000001"
    assert ids[2][4:14] == "01HF7YAT00"
    assert ids[3][4:14] == "7ZZZZZZZZY"


def test_ids_rise_within_a_millisecond_by_steps_that_nobody_guesses() -> None:
    randomness = SystemRandomness(lambda: 1_700_000_000_000)
    ids = [randomness.new_id("job") for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert len({one[-4:] for one in ids}) > 900


def test_ids_rise_when_the_clock_goes_back() -> None:
    times = iter([1_700_000_000_000, 1_600_000_000_000, 1_700_000_000_001])
    randomness = SystemRandomness(lambda: next(times))
    ids = [randomness.new_id("job") for _ in range(3)]
    assert ids == sorted(set(ids))


def test_a_millisecond_that_is_full_is_followed_by_the_next() -> None:
    randomness = SystemRandomness(lambda: 5)
    randomness._last = (5 << 80) | (2**80 - 1)
    first, second = randomness.new_id("job"), randomness.new_id("job")
    assert first < second
    assert first[4:14] == "0000000006"


def test_ids_of_many_threads_are_all_different() -> None:
    randomness = SystemRandomness()
    ids: list[str] = []

    def make() -> None:
        ids.extend([randomness.new_id("job") for _ in range(500)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 4000


def test_tokens_are_long_different_and_fit_for_urls() -> None:
    tokens = {SystemRandomness().token() for _ in range(1000)}
    assert len(tokens) == 1000
    for token in tokens:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
