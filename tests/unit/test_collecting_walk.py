"""All compose files of a project: what they include and extend, and what these need."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.collecting_needs import Absence, Findings, Need, NeedKind
from domain.collecting_walk import ComposePart, ProjectWalk

FILE = NeedKind.FILE
NOTHING: dict[str, str] = {}


def parse(text: str) -> object:
    return parse_fully(text.encode(), YamlBounds())


def walked(
    first: str,
    files: Mapping[str, str] = NOTHING,
    variables: Mapping[str, str] = NOTHING,
    env: Mapping[str, str] = NOTHING,
) -> tuple[Findings, list[ComposePart]]:
    walk = ProjectWalk(parse(first), shown="c.yml", variables=variables)
    parts = []
    while (part := walk.next_part()) is not None:
        parts.append(part)
        if part.path in files:
            walk.add(part, parse(files[part.path]), env if part.env_files else {})
    return walk.findings(), parts


def paths(findings: Findings) -> list[str]:
    return sorted({need.path for need in findings.needs})


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("env_file: a.env", [("a.env", True)]),
        ("env_file: [a.env, ./b/../b.env]", None),
        ("env_file: [a.env, sub/b.env]", [("a.env", True), ("sub/b.env", True)]),
        ("env_file: [{path: a.env}]", [("a.env", True)]),
        ("env_file: [{path: a.env, required: true, format: raw}]", [("a.env", True)]),
        ("env_file: [{path: a.env, required: false}]", [("a.env", False)]),
        ("env_file: {path: a.env, required: false}", [("a.env", False)]),
        ("label_file: a.labels", [("a.labels", True)]),
        ("label_file: [a.labels, b.labels]", [("a.labels", True), ("b.labels", True)]),
    ],
)
def test_env_files_and_label_files_are_needed(
    key: str, expected: list[tuple[str, bool]] | None
) -> None:
    found, _ = walked(f"services: {{web: {{{key}}}}}")
    if expected is None:
        assert found.problems == [
            "c.yml: services.web.env_file must not turn back with '..' on its way"
        ]
        return
    where = f"c.yml: services.web.{key.partition(':')[0]}"
    assert found == Findings(
        [
            Need(path, where, FILE, Absence.REFUSED if is_required else Absence.ALLOWED)
            for path, is_required in expected
        ]
    )


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("services: {web: {env_file: ../a.env}}",
         "c.yml: services.web.env_file must stay in the project's directory"),
        ("services: {web: {env_file: /etc/a.env}}",
         "c.yml: services.web.env_file must be relative to the project's directory"),
        ("services: {web: {env_file: '${X:-a}.env'}}",
         ("c.yml: services.web.env_file must not use variables: what it names has to be known before "
         "Compose reads it")),
        ("include: ['oci://example.com/x']",
         "c.yml: include[0] must name a file of the project, not something that has to be fetched"),
        ("services: {web: {extends: {file: ../x.yml, service: x}}}",
         "c.yml: services.web.extends.file must stay in the project's directory"),
        ("services: {web: {image: 'x:${TAG:?set it}'}}",
         "c.yml: services.web.image: TAG: is required, and in no env file: set it"),
        ("services: {web: {command: ['a', '${']}}",
         "c.yml: services.web.command[1]: ${: must end with '}'"),
        ("[]", "c.yml: must be a YAML mapping"),
    ],
)  # fmt: skip
def test_what_the_agent_would_refuse_is_refused_here(document: str, problem: str) -> None:
    assert walked(document)[0].problems == [problem]


@pytest.mark.parametrize(
    ("include", "part"),
    [
        ("[sub/inc.yml]",
         ComposePart("sub/inc.yml", "c.yml: include[0]", "sub", ("sub/.env",), is_env_optional=True)),
        ("[inc.yml]", ComposePart("inc.yml", "c.yml: include[0]", ".")),
        ("[{path: sub/inc.yml}]",
         ComposePart(
             "sub/inc.yml", "c.yml: include[0].path", "sub", ("sub/.env",), is_env_optional=True)),
        ("[{path: sub/inc.yml, project_directory: .}]",
         ComposePart("sub/inc.yml", "c.yml: include[0].path", ".")),
        ("[{path: sub/inc.yml, project_directory: other}]",
         ComposePart(
             "sub/inc.yml", "c.yml: include[0].path", "other", ("other/.env",), is_env_optional=True)),
        ("[{path: sub/inc.yml, env_file: a.env}]",
         ComposePart("sub/inc.yml", "c.yml: include[0].path", "sub", ("a.env",))),
        ("[{path: sub/inc.yml, env_file: [a.env, ./b.env]}]",
         ComposePart("sub/inc.yml", "c.yml: include[0].path", "sub", ("a.env", "b.env"))),
    ],
)  # fmt: skip
def test_an_include_leads_to_a_compose_file_with_variables_of_its_own(
    include: str, part: ComposePart
) -> None:
    found, parts = walked(f"include: {include}")
    assert parts == [part]
    assert Need(part.path, part.where, FILE) in found.needs
    absence = Absence.ALLOWED if part.is_env_optional else Absence.REFUSED
    assert {(need.path, need.absence) for need in found.needs if need.path in part.env_files} == {
        (path, absence) for path in part.env_files
    }


def test_several_files_of_one_include_share_the_directory_of_the_first() -> None:
    found, parts = walked(
        "include: [{path: [sub/a.yml, other/b.yml]}]",
        {
            "sub/a.yml": "services: {a: {volumes: ['./a:/a']}}",
            "other/b.yml": "services: {a: {volumes: ['./b:/b']}}",
        },
    )
    assert {(part.path, part.directory) for part in parts} == {
        ("sub/a.yml", "sub"),
        ("other/b.yml", "sub"),
    }
    assert paths(found) == ["other/b.yml", "sub/.env", "sub/a", "sub/a.yml", "sub/b"]


def test_what_is_included_has_its_env_file_and_the_projects_wins() -> None:
    found, _ = walked(
        "include: [sub/inc.yml]\nservices: {web: {volumes: ['./${OF_INCLUDE:-none}:/x']}}",
        {"sub/inc.yml": "services: {a: {volumes: ['./${OF_INCLUDE}:/x', './${BOTH}:/y']}}"},
        variables={"BOTH": "of-project"},
        env={"OF_INCLUDE": "of-include", "BOTH": "no"},
    )
    assert [need.path for need in found.needs if need.kind is not FILE] == [
        "none", "sub/of-include", "sub/of-project",
    ]  # fmt: skip
    assert not found.notes


def test_only_the_extended_service_of_a_file_counts_with_what_it_extends() -> None:
    found, parts = walked(
        "services: {web: {extends: {file: base/b.yml, service: web}}}",
        {
            "base/b.yml": """
include: [not-this.yml]
services:
  web: {extends: common, env_file: web.env}
  common: {extends: {service: root}, volumes: ['./c:/c']}
  root: {extends: {file: ../deep/d.yml, service: d}, build: ctx}
  other: {env_file: other.env, image: '${NOT_USED}'}
secrets: {s: {file: s.txt}}
""",
            "deep/d.yml": "services: {d: {label_file: l}, e: {label_file: no}}",
        },
    )
    assert [part.path for part in parts] == ["base/b.yml", "deep/d.yml"]
    assert paths(found) == [
        "base/b.yml", "base/c", "base/ctx", "base/web.env", "deep/d.yml", "deep/l",
    ]  # fmt: skip
    assert not found.problems
    assert not found.notes


def test_two_services_of_one_file_are_both_extended() -> None:
    found, parts = walked(
        "services: {a: {extends: {file: b.yml, service: a}}, b: {extends: {file: b.yml, service: b}},"
        " c: {extends: {file: b.yml, service: a}}, d: {extends: a}}",
        {"b.yml": "services: {a: {env_file: a.env}, b: {env_file: b.env}}"},
    )
    assert len(parts) == 2
    assert paths(found) == ["a.env", "b.env", "b.yml"]


def test_files_that_lead_in_a_circle_are_read_once() -> None:
    found, parts = walked(
        "include: [a.yml]", {"a.yml": "include: [b.yml]", "b.yml": "include: [a.yml]"}
    )
    assert [part.path for part in parts] == ["a.yml", "b.yml"]
    assert not found.problems
    _, parts = walked(
        "services: {a: {extends: {file: b.yml, service: a}}}",
        {"b.yml": "services: {a: {extends: {file: b.yml, service: a}}}"},
    )
    assert [part.path for part in parts] == ["b.yml"]


def test_files_are_bounded_in_number_and_depth() -> None:
    files = {f"{number}.yml": f"include: [{number + 1}.yml]" for number in range(20)}
    deep, parts = walked("include: [0.yml]", files)
    assert len(parts) == 16
    assert deep.problems == ["15.yml: include[0] leads deeper than 16 compose files"]
    names = ", ".join(f"{number}.yml" for number in range(65))
    many, parts = walked(f"include: [{names}]")
    assert len(parts) == 64
    assert many.problems == ["c.yml: include[64] leads to more than 64 compose files"]


def test_a_variable_without_value_is_told_once_where_it_is_first() -> None:
    found, _ = walked(
        "services: {web: {image: 'x:$TAG', command: '${TAG} ${PWD} ${A:-b}', x-a: $NOT}}\nx-b: $NOT"
    )
    ending = "is in no env file and has no default: it is empty on the host."
    assert found.notes == [
        f"c.yml: services.web.image: the variable TAG {ending}",
        f"c.yml: services.web.command: the variable PWD {ending} Write './' for it.",
    ]
