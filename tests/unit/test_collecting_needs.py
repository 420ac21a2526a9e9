"""Which files one compose file means, in every form that Compose has for saying so."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from adapters.yaml.bounded_reader import parse_fully
from adapters.yaml.bounds import YamlBounds
from domain.collecting_needs import Absence, Findings, Need, NeedKind, NeedsReader

VARIABLES = {"DATA": "./data", "HOST": "/srv/x", "UP": "../x", "NAME": "named", "EMPTY": ""}
MADE, REFUSED = Absence.MADE_ON_THE_HOST, Absence.REFUSED
SOME, BUILD = NeedKind.FILE_OR_DIRECTORY, NeedKind.BUILD
STAYS = "stays on the host: it is not sent."
OUTSIDE = "must stay in the project's directory"


def read(text: str, directory: str = ".") -> Findings:
    document = parse_fully(text.encode(), YamlBounds())
    assert isinstance(document, Mapping)
    findings = Findings()
    NeedsReader(findings, VARIABLES, directory=directory, within="c.yml").read(document)
    return findings


def of_service(text: str, directory: str = ".") -> Findings:
    return read(f"services: {{web: {{{text}}}}}", directory)


def mounted(entry: str) -> Findings:
    return of_service(f"volumes: [{entry}]")


SENT = [
    # An entry of `volumes`, the path that is sent, what it means where that is not there.
    ("./data:/data", "data", MADE),
    ("./data:/data:ro", "data", MADE),
    ("./a/../b/./c/:/x", "b/c", MADE),
    (".:/app", ".", MADE),
    ("'./with space/é:/x'", "with space/é", MADE),
    ("$DATA:/x", "data", MADE),
    ("'${DATA}/sub:/x'", "data/sub", MADE),
    ("'${NO:-./fallback}:/x:ro'", "fallback", MADE),
    ("'./$$x:/x'", "$x", MADE),
    ("{type: bind, source: ./data, target: /x}", "data", MADE),
    ("{type: bind, source: data, target: /x}", "data", MADE),
    ("{type: bind, source: '${DATA}', target: /x, read_only: true}", "data", MADE),
    ("{type: bind, source: ./x, target: /x, bind: {create_host_path: true}}", "x", MADE),
    ("{type: bind, source: ./x, target: /x, bind: {create_host_path: false}}", "x", REFUSED),
    ("{type: bind, source: ./x, target: /x, bind: {propagation: shared}}", "x", MADE),
]

LEFT_ALONE = [
    "named:/data", "named:/data:ro", "/data", "$NAME:/data",
    "{type: volume, source: named, target: /x}", "{source: named, target: /x}",
    "{type: volume, target: /x}", "{type: tmpfs, target: /x}",
    "{type: image, source: a/b:1, target: /x}", "{type: '$TYPE', source: ./x, target: /x}",
]  # fmt: skip

ON_HOST = [
    ("/var/run/docker.sock:/var/run/docker.sock", "/var/run/docker.sock"),
    ("~/x:/x", "~/x"),
    ("$HOST:/x", "/srv/x"),
    ("'${NO}/data:/x'", "/data"),
    ("{type: bind, source: /etc/localtime, target: /x}", "/etc/localtime"),
    ("'C:\\x:/x'", "C:\\\\x"),
]

BAD = [
    ("../x:/x", f"'../x' {OUTSIDE}"),
    ("./a/../../x:/x", f"'./a/../../x' {OUTSIDE}"),
    ("$UP:/x", f"'../x' {OUTSIDE}"),
    ("{type: bind, source: ../x, target: /x}", f"'../x' {OUTSIDE}"),
    ("'${EMPTY}:/x'", "names nothing, once its variables are put in"),
    ("{type: bind, target: /x}", "names nothing, once its variables are put in"),
    (
        "{type: volume, source: '${DATA}', target: /x}",
        "'./data' is a path, and its type is 'volume'; write 'type: bind'",
    ),
]


@pytest.mark.parametrize(("entry", "path", "absence"), SENT)
def test_a_relative_bind_mount_is_sent(entry: str, path: str, absence: Absence) -> None:
    where = "c.yml: services.web.volumes[0]"
    assert mounted(entry) == Findings([Need(path, where, SOME, absence)])


@pytest.mark.parametrize("entry", LEFT_ALONE)
def test_what_is_no_bind_mount_is_left_alone(entry: str) -> None:
    assert mounted(entry) == Findings()


@pytest.mark.parametrize(("entry", "source"), ON_HOST)
def test_an_absolute_bind_mount_stays_on_the_host(entry: str, source: str) -> None:
    note = f"c.yml: services.web.volumes[0]: '{source}' {STAYS}"
    assert mounted(entry) == Findings(notes=[note])


@pytest.mark.parametrize(("entry", "rule"), BAD)
def test_a_bind_mount_that_cannot_be_meant_is_refused(entry: str, rule: str) -> None:
    problem = f"c.yml: services.web.volumes[0]: {rule}"
    assert mounted(entry) == Findings(problems=[problem])


def test_paths_start_in_the_directory_of_the_compose_file() -> None:
    found = of_service("volumes: ['./a:/a', '../b:/b'], build: ..", directory="sub/dir")
    assert [need.path for need in found.needs] == ["sub/dir/a", "sub/b", "sub"]


@pytest.mark.parametrize(
    ("build", "context", "dockerfile"),
    [
        (".", ".", "Dockerfile"),
        ("./app", "app", "app/Dockerfile"),
        ("'${DATA}'", "data", "data/Dockerfile"),
        ("{}", ".", "Dockerfile"),
        ("{context: app}", "app", "app/Dockerfile"),
        ("{context: app, dockerfile: prod.Dockerfile}", "app", "app/prod.Dockerfile"),
        ("{context: app, dockerfile: ../docker/Dockerfile}", "app", "docker/Dockerfile"),
        ("{context: app, dockerfile: '${NO:-x}'}", "app", "app/x"),
        ("{dockerfile: docker/x}", ".", "docker/x"),
        ("{context: app, dockerfile_inline: FROM x}", "app", ""),
        ("{context: app, dockerfile: https://example.com/Dockerfile}", "app", ""),
    ],
)
def test_a_builds_directory_is_sent_with_its_dockerfile(
    build: str, context: str, dockerfile: str
) -> None:
    where = "c.yml: services.web.build.context"
    assert of_service(f"build: {build}") == Findings(
        [Need(context, where, BUILD, REFUSED, dockerfile)]
    )


@pytest.mark.parametrize(
    "build",
    [
        "https://example.com/x.git#main", "git@example.com:x/y.git", "github.com/x/y",
        "{context: https://example.com/x.tar.gz, dockerfile: a/b}", "{context: 'ssh://git@x/y'}",
    ],
)  # fmt: skip
def test_a_build_from_elsewhere_is_left_alone(build: str) -> None:
    assert of_service(f"build: {build}") == Findings()


@pytest.mark.parametrize(
    "contexts",
    ["{a: ./a, b: 'docker-image://x', c: 'https://x/y.git', d: 'service:web', e: b/c}",
     "[a=./a, 'b=docker-image://x', e=b/c]"],
)  # fmt: skip
def test_more_directories_of_a_build_are_sent(contexts: str) -> None:
    found = of_service(
        f"build: {{context: ., dockerfile_inline: x, additional_contexts: {contexts}}}"
    )
    where = "c.yml: services.web.build.additional_contexts"
    assert found.needs[1:] == [Need("a", f"{where}.a", BUILD), Need("b/c", f"{where}.e", BUILD)]
    assert not found.problems


def test_a_build_outside_of_the_project_is_refused_or_stays_on_the_host() -> None:
    where = "c.yml: services.web.build"
    assert of_service("build: ../x").problems == [f"{where}.context: '../x' {OUTSIDE}"]
    assert of_service("build: /src").notes == [f"{where}.context: '/src' {STAYS}"]
    outside = of_service("build: {context: app, dockerfile: ../../x}")
    assert outside.problems == [f"{where}.dockerfile: '../../x' {OUTSIDE}"]
    elsewhere = of_service("build: {context: app, dockerfile: /x}")
    assert elsewhere.notes == [f"{where}.dockerfile: '/x' {STAYS}"]


@pytest.mark.parametrize("section", ["secrets", "configs"])
def test_secrets_and_configs_are_files(section: str) -> None:
    found = read(
        f"{section}: {{a: {{file: ./a}}, b: {{file: '${{DATA}}/b'}}, c: {{external: true}}, "
        "d: {content: x}, e: {environment: DATA}, f: {environment: NO}, g: {file: /etc/g}, "
        "h: {file: ../h}, i: }"
    )
    where = f"c.yml: {section}"
    assert found.needs == [
        Need("a", f"{where}.a.file", SOME),
        Need("data/b", f"{where}.b.file", SOME),
    ]
    assert found.notes == [
        (
            f"{where}.f.environment: the variable NO is in no env file, and the environment of this "
            "shell is not sent: the host has to have it."
        ),
        f"{where}.g.file: '/etc/g' {STAYS}",
    ]
    assert found.problems == [f"{where}.h.file: '../h' {OUTSIDE}"]


def test_a_named_volume_that_is_a_directory_is_sent() -> None:
    found = read(
        "volumes: {a: {driver_opts: {type: none, o: 'bind,ro', device: ./a}}, b: , "
        "c: {driver_opts: {type: nfs, o: addr=x, device: ':/x'}}, d: {name: x},"
        "e: {driver_opts: {o: bind, device: '${NO}/e'}}}"
    )
    assert found.needs == [Need("a", "c.yml: volumes.a.driver_opts.device", SOME)]
    assert found.notes == [f"c.yml: volumes.e.driver_opts.device: '/e' {STAYS}"]


@pytest.mark.parametrize("given", ["{A: , DATA: , B: x}", "[A, DATA, B=x, 'C=$D']"])
def test_variables_that_the_shell_would_give_are_told(given: str) -> None:
    said = (
        "A has no value and is in no env file, and the environment of this shell is not sent: it "
        "is not set on the host."
    )
    assert of_service(f"environment: {given}").notes == [f"c.yml: services.web.environment: {said}"]
    found = of_service(f"build: {{context: ., args: {given}}}")
    assert found.notes == [f"c.yml: services.web.build.args: {said}"]


def test_what_is_no_affair_of_ours_is_ignored() -> None:
    found = of_service(
        "develop: {watch: [{path: ./src, action: sync}]}, ports: ['80:80'], x-a: {file: ./x}, "
        "secrets: [a, {source: b}], configs: [c], tmpfs: /x, devices: ['/dev/x:/dev/x']"
    )
    assert found == Findings()


@pytest.mark.parametrize(
    "text",
    ["services: []", "services: {web: x}", "services: {web: {volumes: {a: b}}}", "services:",
     "services: {web: {volumes: [[x], null]}}", "secrets: x", "volumes: {a: {driver_opts: x}}",
     "services: {web: {environment: x, build: {context: {}, args: 1}}}", "configs: {a: {file: []}}",
     "services: {web: {volumes: [{type: bind, source: [], bind: x}, '${'] }}"],
)  # fmt: skip
def test_shapes_that_are_none_are_left_for_compose(text: str) -> None:
    assert read(text).needs == []


def test_anchors_and_merge_keys_are_no_special_case() -> None:
    found = read(
        "x-base: &base {volumes: &v ['./a:/a']}\n"
        "services: {one: {<<: *base}, two: {volumes: *v}, three: {<<: [{build: b}, *base]}}"
    )
    assert [need.path for need in found.needs] == ["a", "a", "a", "b"]


def test_services_of_profiles_count_too() -> None:
    assert len(of_service("profiles: [debug], volumes: ['./a:/a']").needs) == 1
