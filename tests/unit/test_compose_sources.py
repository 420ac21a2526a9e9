"""What Compose would read besides the compose file: let through, told, or refused beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.compose_sources import LocalSource, SourceKind, SourceWalk, sources_of

REMOTE = [
    "oci://registry.example.com/x:1", "OCI://registry.example.com/x", "https://example.com/x.yml",
    "http://example.com/x.git#main", "git://example.com/x", "ssh://git@example.com/x",
    "git@example.com:x/y.git", "deploy@example.com:x", "github.com/x/y", "GitHub.com/x/y", "git::x",
    " https://example.com/x",
]  # fmt: skip
OUTSIDE = [
    "/etc/passwd", "~/x", "~root/x", "../x", "a/../../x", "./../x", "a/../b", "link/../x", "$HOME/x",
    "${X:-a}", "a\\b", "a\nb", "", " ",
]  # fmt: skip
PLACES = [
    ("include: [{}]", "include[0]"),
    ("include: [{{path: {}}}]", "include[0].path"),
    ("include: [{{path: [a, {}]}}]", "include[0].path"),
    ("include: [{{path: a, env_file: {}}}]", "include[0].env_file"),
    ("include: [{{path: a, project_directory: {}}}]", "include[0].project_directory"),
    ("services: {{web: {{extends: {{file: {}, service: x}}}}}}", "services.web.extends.file"),
    ("services: {{web: {{env_file: {}}}}}", "services.web.env_file"),
    ("services: {{web: {{env_file: [a, {}]}}}}", "services.web.env_file"),
    ("services: {{web: {{env_file: [{{path: {}, required: no}}]}}}}", "services.web.env_file"),
    ("services: {{web: {{label_file: {}}}}}", "services.web.label_file"),
    ("services: {{web: {{label_file: [{}]}}}}", "services.web.label_file"),
    ("x-a: &a {{env_file: [{}]}}\nservices: {{web: *a}}", "services.web.env_file"),
    ("x-a: &a {{env_file: [{}]}}\nservices: {{web: {{<<: *a}}}}", "services.web.env_file"),
    ("x-a: &a {{label_file: {}}}\nservices: {{web: {{<<: [{{}}, *a]}}}}", "services.web.label_file"),
]  # fmt: skip
PLACE_IDS = [f"{number}-{where}" for number, (_, where) in enumerate(PLACES)]


def parse(text: str) -> object:
    return parse_fully(text.encode(), YamlBounds())


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace("\n", "\\n") + '"'


def problems(text: str) -> list[str]:
    report = sources_of(parse(text))
    assert all(problem.field == "compose_file_base64" for problem in report.problems)
    return [problem.rule for problem in report.problems]


def told(text: str) -> list[tuple[str, str]]:
    report = sources_of(parse(text))
    assert not report.problems
    return [(source.kind.value, source.path) for source in report.sources]


@pytest.mark.parametrize("value", REMOTE + OUTSIDE)
@pytest.mark.parametrize(("text", "where"), PLACES, ids=PLACE_IDS)
def test_what_is_elsewhere_is_refused_by_its_key(text: str, where: str, value: str) -> None:
    (problem,) = problems(text.format(quoted(value)))
    assert problem.startswith(where + " ")


@pytest.mark.parametrize("value", REMOTE)
@pytest.mark.parametrize("section", ["configs", "secrets"])
def test_configs_and_secrets_are_never_fetched(section: str, value: str) -> None:
    (problem,) = problems(f"{section}: {{c: {{file: {quoted(value)}}}}}")
    assert problem.startswith(f"{section}.c.file ")


@pytest.mark.parametrize("value", ["/etc/passwd", "~/x", "../x", "$HOME/x"])
def test_configs_and_secrets_of_the_host_are_left_to_the_policy(value: str) -> None:
    assert told(f"configs: {{c: {{file: '{value}'}}}}") == []


def test_local_files_are_told_with_their_kind() -> None:
    text = """
        include:
          - ./a.yml
          - {path: [b/b.yml, c.yml], env_file: [b/.env]}
        services:
          web:
            extends: {file: base/base.yml, service: web}
            env_file: [web.env, {path: ./more.env, required: false}]
            label_file: labels
            build: {context: ./image, dockerfile: D}
          db: {extends: web, env_file: db.env, build: .}
        configs: {c: {file: ./conf//c.conf}}
        secrets: {s: {file: s.txt}, e: {environment: X}}
    """
    assert told(text) == [
        ("include", "a.yml"),
        ("include", "b/b.yml"),
        ("include", "c.yml"),
        ("env_file", "b/.env"),
        ("extends", "base/base.yml"),
        ("env_file", "web.env"),
        ("env_file", "more.env"),
        ("label_file", "labels"),
        ("build", "image"),
        ("env_file", "db.env"),
        ("build", "."),
        ("config", "conf/c.conf"),
        ("secret", "s.txt"),
    ]


def test_what_may_be_missing_is_told_so() -> None:
    entries = "a, {path: b}, {path: c, required: false}, {path: d, required: no}"
    text = f"services: {{web: {{env_file: [{entries}]}}}}"
    required = [source.is_required for source in sources_of(parse(text)).sources]
    assert required == [True, True, False, False]


def test_relative_paths_are_taken_from_the_directory_of_their_file() -> None:
    document = parse("services: {web: {env_file: [../a.env, x/b.env]}}\ninclude: [c/d.yml]")
    report = sources_of(document, directory="sub", within="sub/f.yml")
    assert [source.path for source in report.sources] == ["sub/c/d.yml", "a.env", "sub/x/b.env"]
    assert report.sources[0].directory == "sub/c"
    assert report.sources[0].where == "sub/f.yml: include[0]"


def test_what_climbs_out_of_the_project_from_below_is_refused() -> None:
    report = sources_of(parse("include: [../../x]"), directory="sub", within="sub/f.yml")
    (problem,) = report.problems
    assert problem.rule == "sub/f.yml: include[0] must stay in the project's directory"


def test_a_project_directory_is_where_paths_in_an_included_file_start() -> None:
    (source,) = sources_of(parse("include: [{path: a/b.yml, project_directory: c}]")).sources
    assert source == LocalSource(SourceKind.INCLUDE, "a/b.yml", "include[0].path", "c")


def test_builds_from_elsewhere_are_told_and_left_to_the_policy() -> None:
    text = """services:
      a: {build: https://example.com/x.git}
      b: {build: {context: git@example.com:x}}
      c: {build: {context: ., dockerfile: https://example.com/D}}
      d: {build: /srv/x}
    """
    report = sources_of(parse(text))
    assert not report.problems
    assert report.remote_builds == (
        "services.a.build.context",
        "services.b.build.context",
        "services.c.build.dockerfile",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "the compose file must be a mapping"),
        ("include: {path: x}", "include must be a list"),
        ("include: x", "include must be a list"),
        ("include: [[x]]", "include[0] must be the path of a file"),
        ("services: []", "services must be a mapping"),
        ("services: {web: []}", "services.web must be a mapping"),
        ("services: {web: {extends: [x]}}", "services.web.extends must be a service's name"),
        ("services: {web: {env_file: {x: y}}}", "services.web.env_file must be the path of a file"),
        ("services: {web: {env_file: [[x]]}}", "services.web.env_file must be the path of a file"),
        ("secrets: {s: x}", "secrets.s must be a mapping"),
    ],
)
def test_a_shape_that_compose_may_read_otherwise_is_refused(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(said)


def test_what_is_not_there_asks_for_nothing() -> None:
    text = "include: null\nservices: {web: {env_file: ~, extends: null, build: null, label_file: }}"
    assert told(text) == []


def test_a_walk_reads_each_file_once_and_finds_what_all_of_them_name() -> None:
    files = {
        "a.yml": "include: [sub/b.yml, a.yml]",
        "sub/b.yml": "services: {x: {extends: {file: ../c.yml, service: y}, env_file: b.env}}",
        "c.yml": "include: [a.yml]\nservices: {y: {env_file: c.env}}",
    }
    walk = SourceWalk(parse("include: [a.yml, missing.yml]"))
    asked = []
    while (source := walk.next_file()) is not None:
        asked.append(source.path)
        if source.path in files:
            walk.add(source, parse(files[source.path]))
    assert sorted(asked) == ["a.yml", "c.yml", "missing.yml", "sub/b.yml"]
    report = walk.report()
    assert not report.problems
    assert {"sub/b.env", "c.env"} < {source.path for source in report.sources}


def test_a_walk_ends_at_the_first_problem() -> None:
    walk = SourceWalk(parse("include: [a.yml, b.yml]"))
    source = walk.next_file()
    assert source is not None
    walk.add(source, parse("include: [/etc/passwd]"))
    assert walk.next_file() is None
    (problem,) = walk.report().problems
    assert problem.rule.startswith(f"{source.path}: include[0] must be relative")


def test_a_walk_is_bounded_in_depth() -> None:
    walk = SourceWalk(parse("include: [d/f.yml]"), max_depth=3)
    read = 0
    while (source := walk.next_file()) is not None:
        read += 1
        walk.add(source, parse("include: [d/f.yml]"))
    assert read == 3
    (problem,) = walk.report().problems
    assert problem.rule.endswith("include[0] leads deeper than 3 compose files")


def test_a_walk_is_bounded_in_number() -> None:
    walk = SourceWalk(parse(f"include: [{', '.join(f'{n}.yml' for n in range(9))}]"), max_files=8)
    assert walk.next_file() is None
    (problem,) = walk.report().problems
    assert problem.rule == "include[8] leads to more than 8 compose files"


PATHS = st.text(st.sampled_from("a./~$\\:@ \n"), max_size=12)


@given(PATHS, PATHS)
def test_whatever_is_let_through_stays_in_the_project(first: str, second: str) -> None:
    report = sources_of({"include": [first]})
    for source in report.sources:
        inner = sources_of({"include": [second]}, directory=source.directory, within=source.path)
        for one in (source, *inner.sources):
            assert not one.path.startswith(("/", "~"))
            assert ".." not in one.path.split("/")
            assert "$" not in one.path
