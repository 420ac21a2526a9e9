"""What a project may consist of, and what its `.env` looks like."""

from __future__ import annotations

import itertools

import pytest

from domain.content import (
    FILE_MODES,
    MAX_CONTENT_BYTES,
    MAX_DEPTH,
    MAX_FILES,
    ExtraFile,
    ProjectContent,
    check_env,
    check_file_path,
    env_file_of,
)
from domain.errors import InvalidInput
from domain.project import ComposeFile

FILE = ComposeFile(b"services: {}\n")
SECRET = b"correct horse"


def test_nothing_but_a_compose_file_is_plain() -> None:
    assert ProjectContent(FILE).is_plain
    assert not ProjectContent(FILE, env=b"").is_plain
    assert not ProjectContent(FILE, files=(ExtraFile("a", b""),)).is_plain


def test_the_size_is_that_of_all_of_it() -> None:
    content = ProjectContent(FILE, b"A=1", (ExtraFile("a", b"12"), ExtraFile("b", b"345")))
    assert content.size == len(FILE.content) + 3 + 2 + 3


def test_different_contents_have_different_digests() -> None:
    contents = [
        ProjectContent(FILE),
        ProjectContent(ComposeFile(b"services: {}\n\n")),
        ProjectContent(FILE, b""),
        ProjectContent(FILE, b"A=1"),
        ProjectContent(FILE, None, (ExtraFile("a", b""),)),
        ProjectContent(FILE, None, (ExtraFile("a", b"x"),)),
        ProjectContent(FILE, None, (ExtraFile("a", b"x", 0o600),)),
        ProjectContent(FILE, None, (ExtraFile("ax", b""),)),
        ProjectContent(FILE, None, (ExtraFile("a", b""), ExtraFile("x", b""))),
        ProjectContent(FILE, b"env:", (ExtraFile("a", b""),)),
    ]
    for one, other in itertools.combinations(contents, 2):
        assert one.digest != other.digest


def test_the_order_of_files_does_not_matter_to_the_digest() -> None:
    files = (ExtraFile("a", b"1"), ExtraFile("b", b"2"))
    one, other = ProjectContent(FILE, None, files), ProjectContent(FILE, None, files[::-1])
    assert one.digest == other.digest


def test_the_digest_is_kept_for_ever() -> None:
    content = ProjectContent(FILE, b"A=1\n", (ExtraFile("conf/a", b"x", 0o600),))
    assert content.digest == "bcaf1315946101b6b470f78c930c98770a278f1c916053fe6a88a1e69176ea18"


def test_what_it_holds_is_in_no_repr() -> None:
    content = ProjectContent(ComposeFile(SECRET), SECRET, (ExtraFile("a", SECRET),))
    assert "correct" not in repr(content)


@pytest.mark.parametrize(
    "path", ["a", "a/b", ".hidden", "conf/.env", ".env.prod", "größe/日本", "a b", "-x", "a" * 255]
)
def test_a_path_in_the_projects_directory_is_allowed(path: str) -> None:
    check_file_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/./b", "./a"),
        *("a\0b", "a\nb", "a\x1b[31m", "a\u2028b", "a\ud800"),
        *("a" * 256, "/".join(["a"] * (MAX_DEPTH + 1)), "/".join(["a" * 200] * 6), "ä" * 128),
        *(".env", "docker-compose.yml", "Docker-Compose.YML"),
        *(
            ".docker-compose.yml.abc.staged",
            ".Docker-Compose.yml.x/y",
            ".instadeploy",
            ".InstaDeploy-x",
        ),
    ],
)
def test_a_path_that_leads_elsewhere_or_is_the_agents_own_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"^files\."):
        ExtraFile(path, b"")


@pytest.mark.parametrize("mode", [0, 0o777, 0o4755, 0o640])
def test_other_modes_are_refused(mode: int) -> None:
    with pytest.raises(InvalidInput, match=r"files\.a\.mode: must be one of 0644, 0600, 0755"):
        ExtraFile("a", b"", mode)
    assert [ExtraFile("a", b"", allowed).mode for allowed in FILE_MODES] == list(FILE_MODES)


def test_there_is_an_end_to_how_much_it_may_be() -> None:
    most = MAX_CONTENT_BYTES - len(FILE.content)
    ProjectContent(FILE, None, (ExtraFile("a", b"x" * most),))
    with pytest.raises(InvalidInput, match="4 MiB"):
        ProjectContent(FILE, b"x", (ExtraFile("a", b"x" * most),))
    files = tuple(ExtraFile(f"f{number}", b"") for number in range(MAX_FILES + 1))
    ProjectContent(FILE, None, files[1:])
    with pytest.raises(InvalidInput, match="at most 256 files"):
        ProjectContent(FILE, None, files)


def test_an_env_with_nul_is_refused() -> None:
    with pytest.raises(InvalidInput, match="env: must not contain NUL"):
        ProjectContent(FILE, b"A=\0")


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "ld_library_path",
        "DYLD_INSERT_LIBRARIES",
        "DOCKER_HOST",
        "DOCKER_CONFIG",
        "BUILDKIT_HOST",
        "COMPOSE_REMOVE_ORPHANS",
        "COMPOSE_ENV_FILES",
        "PATH",
        "HOME",
        "BASH_ENV",
        "GODEBUG",
        "GIT_SSH_COMMAND",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "PYTHONPATH",
        "PERL5LIB",
        "RUBYOPT",
    ],
)
@pytest.mark.parametrize("line", ["{}=x\n", "A=1\n  export {} = x\n", "\t{}: x", "A=1\n{}=\n"])
def test_an_env_that_would_reach_the_programs_that_compose_starts_is_refused(
    name: str, line: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"^env\.{name}: would reach the programs"):
        check_env(line.format(name).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# LD_PRELOAD=x\n",
        b"PASSWORD=LD_PRELOAD=x\n",
        b"COMPOSE_PROFILES=debug\nCOMPOSE_PROJECT_NAME=a\nCOMPOSE_FILE=b\n",
        b"MYPATH=/bin\nPATHS=1\nHOMEPAGE=x\nPYTHONUNBUFFERED=1\nBUILD_LD_FLAGS=1\n",
        b"\xff\xfe=1\n",
    ],
)
def test_an_env_as_people_write_them_is_accepted(content: bytes) -> None:
    check_env(content)


def test_what_an_env_says_is_not_quoted() -> None:
    with pytest.raises(InvalidInput) as raised:
        check_env(b"LD_PRELOAD=hunter2\n")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c/d")])
def test_a_file_comes_once_and_is_no_directory(paths: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="files"):
        ProjectContent(FILE, None, tuple(ExtraFile(path, b"") for path in paths))


def test_values_that_mean_nothing_special_stay_readable() -> None:
    variables = {"A": "1", "URL": "https://example.com/a_b?".removesuffix("?"), "EMPTY": ""}
    assert env_file_of(variables) == b"A=1\nURL=https://example.com/a_b\nEMPTY=\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", b'"a b"'),
        ("$HOME", rb'"\$HOME"'),
        ('say "x"', rb'"say \"x\""'),
        ("a\\n", rb'"a\\n"'),
        ("a\nb\r", rb'"a\nb\r"'),
        ("#", b'"#"'),
        ("ä", '"ä"'.encode()),
    ],
)
def test_other_values_are_quoted(value: str, written: bytes) -> None:
    assert env_file_of({"A": value}) == b"A=" + written + b"\n"


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "A\n", "Ä", "-A", "A$", "A\0"])
def test_what_is_no_name_of_a_variable_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"env\."):
        env_file_of({name: "x"})


def test_a_value_with_nul_is_refused_and_not_quoted() -> None:
    with pytest.raises(InvalidInput, match=r"env\.A: must not contain NUL") as raised:
        env_file_of({"A": "secret\0"})
    assert "secret" not in str(raised.value)
