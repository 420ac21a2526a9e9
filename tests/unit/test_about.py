"""What a program says of itself for a report, with and without a build's stamp."""

from __future__ import annotations

import ssl
from importlib import metadata

import pytest

from entrypoints import build_stamp
from entrypoints.about import about
from entrypoints.agent.__main__ import main
from entrypoints.version import VERSION


def _stamp(
    monkeypatch: pytest.MonkeyPatch, commit: str, *dependencies: str, dirty: bool = False
) -> None:
    monkeypatch.setattr(build_stamp, "COMMIT", commit)
    monkeypatch.setattr(build_stamp, "IS_DIRTY", dirty)
    monkeypatch.setattr(build_stamp, "DEPENDENCIES", dependencies)


def test_a_checkout_says_that_it_is_one() -> None:
    lines = about("program").splitlines()
    assert lines[:2] == [f"program {VERSION}", "commit: none, it runs from a checkout"]
    assert lines[-1] == f"openssl: {ssl.OPENSSL_VERSION}"


def test_a_build_says_its_commit_and_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    h11 = metadata.version("h11")
    _stamp(monkeypatch, "abc", f"h11=={h11}", "not-installed==1.0", "pyyaml==0.1")
    said = about("program")
    assert "commit: abc\n" in said
    yaml = metadata.version("pyyaml")
    assert said.endswith(f"dependencies:\n  h11=={h11}\n  pyyaml=={yaml} (locked: 0.1)")


def test_a_build_of_changed_sources_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _stamp(monkeypatch, "abc", dirty=True)
    assert "commit: abc, with changes that are not committed\n" in about("program")


def test_a_build_without_git_knows_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    _stamp(monkeypatch, "")
    assert "commit: unknown\n" in about("program")


def test_the_agent_says_it_without_any_configuration(
    bare_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--version", "--verbose"]) == 0
    assert capsys.readouterr().out == about("instadeploy-agent") + "\n"
