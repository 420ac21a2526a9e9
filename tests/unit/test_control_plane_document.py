"""What docs/control-plane.md says is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from application.control_plane.following import IDLE_S
from application.control_plane.presence import LEAVING_S
from domain.fleet.access import Permission
from domain.fleet.page import MAX_PAGE, USUAL_PAGE
from entrypoints.control_plane.container import PAYLOAD_KEY_FILE, SIGNER_FILE
from entrypoints.control_plane.rest import guard
from entrypoints.control_plane.rest.conditions import LONGEST_PREFERRED_WAIT_S
from entrypoints.control_plane.rest.problems import CODES, CODES_OF
from entrypoints.control_plane.serving import GOING_WINDOW_S
from entrypoints.control_plane.settings import CONFIGURATION, ControlPlaneSettings, variable_of
from tests.unit.test_documents import ROOT, rows, section, text_of

DOCUMENT = ROOT / "docs" / "control-plane.md"
SETTINGS = {name: default for name, default, _ in rows(section(DOCUMENT, "Settings"))}


def test_the_table_names_every_setting_and_nothing_else() -> None:
    fields = {variable_of(field) for field in ControlPlaneSettings.model_fields}
    assert set(SETTINGS) == fields | {CONFIGURATION.env_file_variable}


@pytest.mark.parametrize("field", ControlPlaneSettings.model_fields)
def test_a_default_in_the_table_is_what_happens_when_nothing_is_set(field: str) -> None:
    default = ControlPlaneSettings.model_fields[field].default
    written = SETTINGS[variable_of(field)]
    assert written == (
        "none"
        if default in (None, "")
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )


@pytest.mark.parametrize("document", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]))
def test_a_document_names_no_setting_that_does_not_exist(document: Path) -> None:
    named = set(re.findall(r"\bCONTROL_PLANE_[A-Z_]*[A-Z]\b", text_of(document)))
    assert named - {"AGENT_CONTROL_PLANE_KEY"} <= set(SETTINGS) | {"CONTROL_PLANE_KEY"}


def test_the_errors_are_those_of_the_code_with_their_statuses() -> None:
    documented = {row[0]: int(row[1]) for row in rows(section(DOCUMENT, "Errors"))}
    assert documented == {code: status for status, codes in CODES_OF.items() for code in codes}
    assert documented.keys() == CODES.keys()


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(section(DOCUMENT, "What holds for every request").split())
    assert f"at most {guard.MAX_BODY_BYTES >> 20} MiB" in text
    assert f"and {guard.MAX_PLAIN_BODY_BYTES >> 20} MiB otherwise" in text
    assert f"at most {guard.MAX_JSON_DEPTH} levels" in text
    assert f"`limit` ({USUAL_PAGE}, at most {MAX_PAGE})" in text
    whole = text_of(DOCUMENT)
    assert f"({LONGEST_PREFERRED_WAIT_S} at most)" in whole
    assert f"within {guard.BODY_S:g} s" in whole
    assert IDLE_S < 40


def test_the_files_of_a_backup_are_those_of_the_code() -> None:
    text = section(DOCUMENT, "Backups")
    assert f"`{PAYLOAD_KEY_FILE}`" in text
    assert f"`{SIGNER_FILE}`" in text


def test_measurements_that_are_named_are_there() -> None:
    named = set(re.findall(r"`(instadeploy_\w+)`", section(DOCUMENT, "Watching it")))
    source = text_of(ROOT / "entrypoints" / "control_plane" / "rest" / "metrics.py")
    there = set(re.findall(r'"(instadeploy_\w+)"', source))
    assert {name.removesuffix("_total") for name in named} == there


def test_the_permission_for_metrics_is_called_so() -> None:
    assert f"`{Permission.METRICS_READ.value}`" in section(DOCUMENT, "Permissions")


def test_the_unit_file_sets_what_is_a_setting_and_starts_the_program() -> None:
    unit = text_of(ROOT / "deploy" / "instadeploy-control-plane.service")
    named = set(re.findall(r"^#?Environment=(\w+)=", unit, flags=re.MULTILINE))
    assert named <= set(SETTINGS)
    assert "python -I -m entrypoints.control_plane\n" in unit
    assert "RestartPreventExitStatus=78\n" in unit
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > 20 + GOING_WINDOW_S + LEAVING_S
