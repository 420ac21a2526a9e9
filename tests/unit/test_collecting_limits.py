"""Projects that are too large are refused, with what makes them so."""

from __future__ import annotations

from domain.collecting_limits import ADVICE, FoundFile, excesses
from domain.content import MAX_CONTENT_BYTES, MAX_FILES

MIB = 1024 * 1024


def found(*sizes: int) -> list[FoundFile]:
    return [FoundFile(f"data/{number}", size, 0o644) for number, size in enumerate(sizes)]


def test_what_is_just_small_enough_is_let_through() -> None:
    assert list(excesses(found(MAX_CONTENT_BYTES - 3, 1), b"c", b"e")) == []
    assert list(excesses(found(*[1] * MAX_FILES), b"c", None)) == []


def test_one_byte_too_many_is_refused_with_the_largest_files() -> None:
    sizes = (10, MAX_CONTENT_BYTES - 2000, 1990, 5, 6, 7)
    assert list(excesses(found(*sizes), b"", None)) == [
        (
            "files: with compose file and env they are 4194322 bytes; at most 4194304 (4 MiB) "
            "can be sent. The largest: data/1 (4.0 MiB), data/2 (1.9 KiB), "
            f"data/0 (10 bytes), data/5 (7 bytes), data/4 (6 bytes). {ADVICE}"
        )
    ]


def test_compose_file_and_env_count_too() -> None:
    (problem,) = excesses([], b"x" * MAX_CONTENT_BYTES, b"e")
    assert "The largest: no other file." in problem


def test_too_many_files_are_refused_with_the_directories_that_have_them() -> None:
    files = [
        FoundFile(f"app/node_modules/m{number}/index.js", 1, 0o644) for number in range(MAX_FILES)
    ]
    files += [FoundFile("a.txt", 1, 0o644), FoundFile("app/main.js", 1, 0o644)]
    assert list(excesses(files, b"", None)) == [
        (
            "files: 258 files belong to the project; at most 256 can be sent. Most are in "
            f"app/node_modules (256), . (1), app (1). {ADVICE}"
        )
    ]


def test_what_is_too_large_as_a_request_is_refused() -> None:
    env = ("ä" * (MAX_CONTENT_BYTES // 2 - 100)).encode()  # Six bytes of JSON for two of UTF-8.
    (problem,) = excesses(found(5), b"c", env)
    assert problem.startswith("files: encoded for the control plane they are 12598781 bytes; ")
    assert "a request has at most 8388608 (8 MiB). The largest: data/0 (5 bytes)." in problem
