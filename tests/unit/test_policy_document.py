"""A policy as a document: what a file may say, what it may not, and the presets as files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest

from domain.errors import InvalidInput
from domain.policy import PERMISSIVE, PRESETS, STANDARD, STRICT, Policy, policy_from_document
from domain.policy.document import SECTIONS

ROOT = Path(__file__).parents[2]
NAMES = list(PRESETS)


def written(preset: str) -> dict[str, object]:
    return tomllib.loads((ROOT / f"deploy/policy/{preset}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", NAMES)
def test_a_preset_and_its_file_are_one_policy(preset: str) -> None:
    assert policy_from_document(written(preset)) == PRESETS[preset]


@pytest.mark.parametrize("preset", NAMES)
def test_a_presets_file_says_everything_itself(preset: str) -> None:
    """On whatever other preset it is put, it is the same policy."""
    for other in NAMES:
        policy = policy_from_document({**written(preset), "preset": other, "name": preset})
        assert policy == PRESETS[preset]


@pytest.mark.parametrize("preset", NAMES)
def test_a_preset_alone_is_a_file(preset: str) -> None:
    assert policy_from_document({"preset": preset}) == PRESETS[preset]


def test_what_the_file_says_stands_instead_of_the_presets() -> None:
    policy = policy_from_document(
        {
            "preset": "strict",
            "unknown_keys": "accept",
            "binds": {"roots": ["/srv/media/", "/var/run/x/../y"]},
            "containers": {"cap_add": ["cap_net_admin"], "gpus": True},
            "resources": {"max_cpus": 2},
        }
    )
    assert policy == replace(
        STRICT,
        name="strict, changed",
        unknown_keys="accept",
        binds=replace(STRICT.binds, roots=("/srv/media", "/run/y")),
        containers=replace(STRICT.containers, cap_add=("NET_ADMIN",), gpus=True),
        resources=replace(STRICT.resources, max_cpus=2.0),
    )


def test_a_policy_may_have_a_name_of_its_own() -> None:
    assert policy_from_document({"preset": "strict", "name": "kiosk"}).name == "kiosk"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "preset is missing; write one of permissive, standard, strict"),
        ({"preset": "lax"}, "preset is unknown"),
        ({"preset": ["strict"]}, "preset is unknown"),
        ({"preset": "strict", "container": {}}, "container is unknown; there are preset, name"),
        (
            {"preset": "strict", "containers": {"privilege": True}},
            "[containers] privilege is unknown",
        ),
        ({"preset": "strict", "containers": True}, "containers must be a section, [containers]"),
        ({"preset": "strict", "unknown_keys": "ask"}, 'unknown_keys must be "refuse" or "accept"'),
        ({"preset": "strict", "name": ""}, "name must be a line"),
        ({"preset": "strict", "name": "a\nb"}, "name must be a line"),
        (
            {"preset": "strict", "containers": {"gpus": 1}},
            "[containers] gpus must be true or false",
        ),
        (
            {"preset": "strict", "containers": {"cap_add": "ALL"}},
            "[containers] cap_add must be a list",
        ),
        (
            {"preset": "strict", "containers": {"cap_add": [1]}},
            "[containers] cap_add must be a list",
        ),
        ({"preset": "strict", "containers": {"cap_add": ["NET-ADMIN"]}}, "must be a capability"),
        ({"preset": "strict", "containers": {"devices": ["sda"]}}, "'sda' must be a path"),
        ({"preset": "strict", "binds": {"roots": ["srv"]}}, "'srv' must be an absolute path"),
        ({"preset": "strict", "binds": {"never": ["/home/*"]}}, "must be an absolute path without"),
        ({"preset": "strict", "images": {"allow": ["nginx"]}}, "'nginx' must name the registry"),
        ({"preset": "strict", "images": {"allow": ["library/nginx"]}}, "must name the registry"),
        ({"preset": "strict", "ports": {"published": ["http"]}}, "'http' is no rule for ports"),
        ({"preset": "strict", "ports": {"published": ["90-80"]}}, "is no rule for ports"),
        ({"preset": "strict", "ports": {"published": ["0"]}}, "is no rule for ports"),
        ({"preset": "strict", "ports": {"published": ["99999"]}}, "is no rule for ports"),
        ({"preset": "strict", "ports": {"published": ["1.2.3:4"]}}, "is no rule for ports"),
        ({"preset": "strict", "ports": {"published": ["10.1.1.1/8:4"]}}, "is no rule for ports"),
        ({"preset": "strict", "projects": {"allow": [" "]}}, "must not be empty"),
        ({"preset": "strict", "resources": {"max_cpus": True}}, "max_cpus must be a number"),
        ({"preset": "strict", "resources": {"max_cpus": -1}}, "max_cpus must be a number"),
        ({"preset": "strict", "resources": {"max_cpus": float("nan")}}, "must be a number"),
        ({"preset": "strict", "resources": {"max_memory_mb": 0.5}}, "must be a whole number"),
    ],
)
def test_whatever_means_nothing_is_refused_by_name(
    document: Mapping[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        policy_from_document(document)
    assert refused.value.field == "AGENT_POLICY_FILE"
    assert said in refused.value.rule


def test_a_digest_tells_policies_apart_whatever_they_are_called() -> None:
    digests = {policy.digest for policy in PRESETS.values()}
    assert len(digests) == len(PRESETS)
    assert replace(STRICT, name="other").digest == STRICT.digest
    changed = replace(STRICT, builds=replace(STRICT.builds, ssh=True))
    assert changed.digest != STRICT.digest


def test_a_policy_that_gives_root_away_warns_by_what() -> None:
    (warning,) = PERMISSIVE.warnings()
    assert warning.startswith("the host's policy (permissive) lets whoever commands this agent")
    assert "[binds] roots" in warning
    assert "AGENT_POLICY_FILE" in warning
    assert STANDARD.warnings() == STRICT.warnings() == ()


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("containers", "privileged", True),
        ("containers", "engine_socket", True),
        ("containers", "host_pid", True),
        ("containers", "cap_add", ["cap_sys_admin"]),
        ("containers", "devices", ["**"]),
        ("containers", "device_cgroup_rules", True),
        ("containers", "providers", ["*"]),
        ("binds", "roots", ["/"]),
    ],
)
def test_each_key_that_gives_root_away_is_named(section: str, key: str, value: object) -> None:
    policy = policy_from_document({"preset": "strict", section: {key: value}})
    (warning,) = policy.warnings()
    assert f"through [{section}] {key};" in warning


def _table() -> dict[str, list[str]]:
    """The rows of the document's tables that begin with a key, by key."""
    text = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows if len(row) == 2 + len(PRESETS)}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"`{entry}`" for entry in value) or "none"
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def _keys(policy: Policy) -> dict[str, object]:
    return {"unknown_keys": policy.unknown_keys} | {
        f"[{name}] {field.name}": getattr(getattr(policy, name), field.name)
        for name in SECTIONS
        for field in fields(getattr(policy, name))
    }


def test_the_documents_tables_have_every_key_with_its_value_in_each_preset() -> None:
    table = _table()
    assert list(table) == list(_keys(STANDARD))
    for column, policy in enumerate(PRESETS.values(), start=1):
        for key, value in _keys(policy).items():
            shown = table[key][column]
            # What is the same as in the column before, and long, is said once.
            assert shown == _shown(value) or (
                shown == "same" and table[key][column - 1] in (_shown(value), "same")
            ), (key, policy.name)
