"""The rules that names, ids and compose files must satisfy."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.job import JobId
from domain.project import ComposeFile, ProjectName
from domain.validation import check_compose_document

LETTERS_AND_MORE = st.sampled_from("aZ0_-./\n \x00é${};\u017f\u212a")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "must not be empty"),
        ("..", "must contain only letters"),
        (".", "must contain only letters"),
        ("a/b", "must contain only letters"),
        ("a\n", "must contain only letters"),
        ("\na", "must contain only letters"),
        ("a b", "must contain only letters"),
        ("a\x00", "must contain only letters"),
        ("a;reboot", "must contain only letters"),
        ("$(reboot)", "must contain only letters"),
        ("My.App", "must contain only letters"),
        ("blög", "must contain only letters"),
        ("٣", "must contain only letters"),
        ("\u212a", "must contain only letters"),  # The Kelvin sign, which lower-cases to a k.
        ("-x", "must begin with a letter or a digit"),
        ("--help", "must begin with a letter or a digit"),
        ("_", "must begin with a letter or a digit"),
        ("_x", "must begin with a letter or a digit"),
        ("a" * 64, "must be at most 63 characters long"),
        ("a" * 300, "must be at most 63 characters long"),
    ],
)
def test_a_bad_project_name_is_refused_with_its_field_and_rule(name: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=f"^project_name: {rule}") as refusal:
        ProjectName(name)
    assert refusal.value.field == "project_name"


@pytest.mark.parametrize("name", ["a", "0", "blog", "My-App_2", "a_", "a-", "a" * 63])
def test_a_good_project_name_keeps_its_case_and_is_lower_cased_for_compose(name: str) -> None:
    assert str(ProjectName(name)) == name
    assert ProjectName(name).compose_name == name.lower()


@given(st.text(LETTERS_AND_MORE, max_size=70) | st.text(max_size=70))
@example("a" * 63)
@example("a" * 64)
@example("a\n")
def test_exactly_the_names_of_the_rule_are_accepted_and_compose_takes_them_all(name: str) -> None:
    allowed = re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]*", name) is not None and len(name) <= 63
    try:
        accepted = ProjectName(name)
    except InvalidInput:
        assert not allowed
    else:
        assert allowed
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", accepted.compose_name)


@pytest.mark.parametrize(
    ("job_id", "rule"),
    [
        ("", "must not be empty"),
        ("x" * 257, "must be at most 256 characters long"),
        ("a\nINFO forged", "must not contain control characters"),
        ("a\r", "must not contain control characters"),
        ("a\x00", "must not contain control characters"),
        ("\x1b[2K", "must not contain control characters"),
        ("\x85", "must not contain control characters"),
        ("a\u2028b", "must not contain control characters"),
        ("a\u2029b", "must not contain control characters"),
        ("\ud800", "must not contain control characters"),
    ],
)
def test_a_bad_job_id_is_refused_with_its_field_and_rule(job_id: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=f"^id: {rule}"):
        JobId(job_id)


@pytest.mark.parametrize("job_id", ["1", "deploy-123", "ab c", "déploiement", "x" * 256, "🚀"])
def test_a_good_job_id_is_kept_as_it_is(job_id: str) -> None:
    assert str(JobId(job_id)) == job_id


@given(st.text(min_size=1, max_size=20))
def test_no_accepted_job_id_breaks_a_line(job_id: str) -> None:
    try:
        accepted = str(JobId(job_id))
    except InvalidInput:
        return
    assert len(accepted.splitlines()) == 1
    assert all(unicodedata.category(character) != "Cc" for character in accepted)


@pytest.mark.parametrize("content", [b"", b" ", b"\n\t\r\n"])
def test_a_compose_file_without_content_is_empty(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^compose_file_base64: the compose file is empty$"):
        ComposeFile(content)


def test_a_compose_file_of_one_mebibyte_is_accepted_and_a_byte_more_is_not() -> None:
    assert len(ComposeFile(b"x" * 2**20).content) == 2**20
    with pytest.raises(InvalidInput, match="is 1048577 bytes long; at most 1048576 "):
        ComposeFile(b"x" * (2**20 + 1))


def test_the_content_of_a_compose_file_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(ComposeFile(b"PASSWORD: hunter2"))


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (None, "must be a YAML mapping"),
        ("services", "must be a YAML mapping"),
        (["services"], "must be a YAML mapping"),
        ({}, "has no 'services'"),
        ({"version": "3"}, "has no 'services'"),
        ({"services": None}, "must name at least one service"),
        ({"services": ""}, "must name at least one service"),
        ({"services": "web"}, "must name at least one service"),
        ({"services": []}, "must name at least one service"),
        ({"services": ["web"]}, "must name at least one service"),
        ({"services": {}}, "must name at least one service"),
    ],
)
def test_a_document_without_services_is_refused(document: object, rule: str) -> None:
    with pytest.raises(InvalidInput, match=f"^compose_file_base64: .*{rule}"):
        check_compose_document(document)


def test_a_document_with_a_service_is_accepted_and_its_services_are_left_to_compose() -> None:
    check_compose_document({"services": {"web": None}, "x-anything": []})
