"""Requests that are wrong: each is told what is wrong with it, and nothing of it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from domain.errors import Busy, InstaDeployError, NoSpace
from entrypoints.control_plane.rest.guard import MAX_BODY_BYTES, MAX_PLAIN_BODY_BYTES
from entrypoints.control_plane.rest.problems import CODES, CODES_OF, STATUSES, problem_of
from tests.support.control_plane_parts import ADMIN
from tests.unit.api import COMPOSE, Api, Document, serving

HOSTS = "/api/v1/hosts"
DEPLOYMENTS = "/api/v1/deployments"
SECRET = "s3cr3t-value"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as api:
        await api.plane.add_hosts("web-1")
        yield api


BODIES = [
    (b"{", "not valid JSON"),
    (b"\xff\xfe", "not valid UTF-8"),
    (b"[]", "must be a JSON object, not an array"),
    (b'"x"', "must be a JSON object, not a string"),
    (b'{"name": "a", "name": "b"}', "same key twice"),
    (b'{"name": NaN}', "NaN is no JSON number"),
    (b'{"name": ' + b"9" * 5000 + b"}", "too long"),
    (b'{"name": ' + b"[" * 50 + b"]" * 50 + b"}", "nested deeper than 12 levels"),
    (b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
    (b'{"name": "\\ud800"}', "half a character"),
]


@pytest.mark.parametrize(("body", "why"), BODIES, ids=[why for _, why in BODIES])
async def test_what_is_no_proper_json_is_refused(api: Api, body: bytes, why: str) -> None:
    problem = await api.problem("POST", HOSTS, 400, "malformed", content=body, headers=JSON)
    assert why in problem["detail"]


async def test_whole_characters_beyond_the_basic_plane_are_fine(api: Api) -> None:
    body = b'{"name": "web-1", "labels": {"x": "\\ud83d\\ude00"}}'
    problem = await api.problem("POST", HOSTS, 422, "invalid_input", content=body, headers=JSON)
    assert problem["errors"][0]["field"] == "labels.x"


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "x/y"}])
async def test_a_body_that_is_not_called_json_is_refused(api: Api, headers: dict[str, str]) -> None:
    body = b'{"name": "web-2"}'
    await api.problem("POST", HOSTS, 415, "unsupported_media_type", content=body, headers=headers)


async def test_a_compressed_body_is_refused(api: Api) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}
    await api.problem(
        "POST", HOSTS, 415, "unsupported_media_type", content=b"\x1f\x8b", headers=headers
    )


async def test_json_may_be_called_so_with_a_charset(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    response = await api.client.post(HOSTS, content=b'{"name": "web-2"}', headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("path", "limit"), [(HOSTS, MAX_PLAIN_BODY_BYTES), (DEPLOYMENTS, MAX_BODY_BYTES)]
)
async def test_a_body_over_the_limit_is_refused_by_what_it_declares(
    api: Api, path: str, limit: int
) -> None:
    headers = JSON | {"Content-Length": str(limit + 1)}
    response = await api.client.post(path, content=b"{}", headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert response.headers["connection"] == "close"


async def test_a_body_that_does_not_say_how_long_it_is_is_cut_at_the_limit(api: Api) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            assert read < 100
            yield b" " * 65536

    response = await api.client.post(HOSTS, content=endless(), headers=JSON)
    assert response.status_code == 413
    assert read <= MAX_PLAIN_BODY_BYTES // 65536 + 2


FIELDS = [
    ({"name": "web-2", "nmae": "x"}, "nmae", "is no field"),
    ({}, "name", "is missing"),
    ({"name": 7}, "name", "must be a valid string"),
    ({"name": None}, "name", "must be a valid string"),
    ({"name": ""}, "name", "1 to 63 characters"),
    ({"name": "-x"}, "name", "begins and ends with"),
    ({"name": "a\nb"}, "name", "1 to 63 characters"),
    ({"name": "web-2", "labels": []}, "labels", "dictionary"),
    ({"name": "web-2", "labels": {"env": 1}}, "labels.env", "must be a valid string"),
    ({"name": "web-2", "labels": {"ENV": "x"}}, "labels.'ENV'", "a key has"),
]


@pytest.mark.parametrize(("body", "field", "rule"), FIELDS)
async def test_a_field_that_breaks_a_rule_is_named(
    api: Api, body: object, field: str, rule: str
) -> None:
    problem = await api.problem("POST", HOSTS, 422, "invalid_input", json=body)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert rule in error["rule"]
    assert len(api.plane.fleet.state.hosts) == 1


CONTENTS = [
    ({"compose": ""}, "compose"),
    ({"compose": "   \n"}, "compose"),
    ({"compose": "é" * 1024 * 1024}, "compose"),
    ({"compose": "x" * (1024 * 1024 + 1)}, "compose"),
    ({"compose": 1}, "compose"),
    ({"project": ""}, "project"),
    ({"project": "../x"}, "project"),
    ({"project": "blog\n"}, "project"),
    ({"env": {"A": 1}}, "env.A"),
    ({"env": 5}, "env"),
    ({"env": {"LD_PRELOAD": SECRET}}, "env.LD_PRELOAD"),
    ({"env": "PATH=" + SECRET}, "env.PATH"),
    ({"env": {"A=B": "x"}}, "env.'A=B'"),
    ({"files": {"../x": {"content": SECRET}}}, "files.'../x'"),
    ({"files": {"/etc/passwd": {"content": ""}}}, "files.'/etc/passwd'"),
    ({"files": {"x": {}}}, "files.'x'"),
    ({"files": {"x": {"content": "", "content_base64": ""}}}, "files.'x'"),
    ({"files": {"x": {"content_base64": "%"}}}, "files.'x'.content_base64"),
    ({"files": {"x": {"content_base64": "QQ"}}}, "files.'x'.content_base64"),
    ({"files": {"x": {"content": "", "mode": "0777"}}}, "files.x.mode"),
    ({"files": {"x": {"content": "", "owner": "me"}}}, "files.x.owner"),
    ({"options": {"pull": "sometimes"}}, "options.pull"),
    ({"options": {"wait": "yes"}}, "options.wait"),
    ({"options": {"wait_timeout_s": 0}}, "options.wait_timeout_s"),
    ({"options": {"profiles": ["--help"]}}, "options.profiles"),
    ({"options": {"requested_by": "eve"}}, "options.requested_by"),
    ({"options": {"labels": {"": "x"}}}, "options.labels"),
    ({"registry_auth": {"r.example": {"username": "a"}}}, "registry_auth.r.example.password"),
    (
        {"registry_auth": {"http://r/": {"username": "a", "password": SECRET}}},
        "registry_auth",
    ),
    ({"hosts": []}, "hosts"),
    ({"host_labels": {"env": "prod"}}, "hosts"),
    ({"hosts": "web-1"}, "hosts"),
    ({"hosts": [1]}, "hosts.0"),
    ({"ttl_s": 0}, "ttl_s"),
    ({"ttl_s": 1e9}, "ttl_s"),
    ({"deadline_s": "10"}, "deadline_s"),
    ({"deadline_s": True}, "deadline_s"),
    ({"generation": 4}, "generation"),
]


@pytest.mark.parametrize(("change", "field"), CONTENTS, ids=lambda value: str(value)[:40])
async def test_a_deployment_that_breaks_a_rule_is_refused_by_the_fields_name(
    api: Api, change: dict[str, object], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"project": "blog", "compose": COMPOSE, "hosts": ["web-1"]} | change
    with caplog.at_level("DEBUG"):
        problem = await api.problem("POST", DEPLOYMENTS, 422, "invalid_input", json=body)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert SECRET not in str(problem)
    assert SECRET not in caplog.text
    assert api.plane.fleet.state.jobs == {}


async def test_everything_that_is_wrong_is_said_at_once(api: Api) -> None:
    problem = await api.problem(
        "POST", DEPLOYMENTS, 422, "invalid_input", json={"x": 1, "compose": 2, "ttl_s": "a"}
    )
    assert {one["field"] for one in problem["errors"]} == {"x", "compose", "ttl_s", "project"}


async def test_a_thousand_wrong_fields_make_a_short_answer(api: Api) -> None:
    body: Document = {"project": "blog", "compose": COMPOSE, "hosts": ["web-1"]}
    body |= {f"x{n}" * 100: n for n in range(1000)}
    response = await api.client.post(DEPLOYMENTS, json=body)
    assert response.status_code == 422
    assert len(response.content) < 20_000


QUERIES = [
    ("/api/v1/jobs?limit=0", "limit"),
    ("/api/v1/jobs?limit=501", "limit"),
    ("/api/v1/jobs?limit=x", "limit"),
    ("/api/v1/jobs?limit=1&nope=2", "query 'nope'"),
    ("/api/v1/jobs?after=%00", "after"),
    ("/api/v1/jobs?after=not-a-cursor", "after"),
    ("/api/v1/jobs?state=done", "state.0"),
    ("/api/v1/jobs?kind=EVIL", "kind"),
    ("/api/v1/jobs?host=%00", "host"),
    ("/api/v1/jobs?project=a%0ab", "project"),
    ("/api/v1/jobs/%00", "job_id"),
    ("/api/v1/jobs/a%0ab", "job_id"),
    ("/api/v1/hosts/%2e%2e", "host"),
    ("/api/v1/hosts?label=env", "label"),
    ("/api/v1/hosts?label=a=1&label=a=2", "label"),
    ("/api/v1/hosts?with_revoked=maybe", "with_revoked"),
    ("/api/v1/jobs/job_1/feed?after=-1", "after"),
    ("/api/v1/jobs/job_1/feed?after=99999999999999999999", "after"),
]


@pytest.mark.parametrize(("path", "field"), QUERIES)
async def test_a_parameter_that_breaks_a_rule_is_named(api: Api, path: str, field: str) -> None:
    problem = await api.problem("GET", path, 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == [field]


async def test_a_resume_point_that_is_none_is_refused(api: Api) -> None:
    headers = {"Last-Event-ID": "abc"}
    await api.problem("GET", "/api/v1/jobs/job_1/feed", 422, "invalid_input", headers=headers)


UNKNOWN = [
    ("GET", "/api/v1/jobs/job_1"),
    ("GET", "/api/v1/jobs/job_1/result"),
    ("GET", "/api/v1/jobs/job_1/output"),
    ("GET", "/api/v1/jobs/job_1/feed"),
    ("POST", "/api/v1/jobs/job_1/cancel"),
    ("GET", "/api/v1/jobs?host=web-9"),
    ("GET", "/api/v1/jobs?deployment=dep_1"),
    ("GET", "/api/v1/deployments/dep_1"),
    ("GET", "/api/v1/deployments/dep_1/feed"),
    ("POST", "/api/v1/deployments/dep_1/cancel"),
    ("POST", "/api/v1/deployments/dep_1/redeploy"),
    ("GET", "/api/v1/hosts/web-9"),
    ("POST", "/api/v1/hosts/web-9/revoke"),
    ("POST", "/api/v1/hosts/web-9/token"),
    ("DELETE", "/api/v1/hosts/web-9/clone-suspicion"),
    ("POST", "/api/v1/hosts/web-9/projects/blog/stop"),
    ("POST", "/api/v1/hosts/web-9/health"),
    ("GET", "/api/v1/hosts/web-9/projects/blog/history"),
    ("DELETE", "/api/v1/enrolments/enr_1"),
    ("GET", "/api/v1"),
    ("GET", "/api/v2/jobs"),
    ("GET", "/api/v1/jobs/"),
    ("GET", "/docs"),
    ("GET", "/"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
async def test_what_is_not_there_is_not_found(api: Api, method: str, path: str) -> None:
    await api.problem(method, path, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", HOSTS, "GET, POST"),
        ("DELETE", f"{HOSTS}/web-1", "GET, PATCH"),
        ("POST", "/healthz", "GET"),
    ],
)
async def test_a_method_that_is_not_known_is_told_which_are(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = await api.client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed


async def test_a_request_that_takes_no_body_takes_none(api: Api) -> None:
    revoke = f"{HOSTS}/web-1/revoke"
    await api.problem("POST", revoke, 422, "invalid_input", json={"really": True})
    assert not api.plane.fleet.state.hosts[next(iter(api.plane.fleet.state.hosts))].is_revoked
    await api.post(revoke, 200, {})


async def test_a_surprise_is_told_as_one_and_no_more(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(api.plane.jobs, "show", surprise)
    problem = await api.problem("GET", "/api/v1/jobs/job_1", 500, "internal")
    assert SECRET not in str(problem)


def test_every_error_of_the_domain_that_may_come_has_a_status_and_a_code() -> None:
    for kind, status in STATUSES.items():
        assert kind.code in CODES or kind.code == "policy"
        assert status in CODES_OF
    for error, status in [(Busy("x"), 503), (NoSpace("x"), 507), (InstaDeployError("x"), 500)]:
        assert problem_of(error).status_code == status
    assert {code for codes in CODES_OF.values() for code in codes} == set(CODES)


async def test_a_client_that_goes_in_the_middle_of_its_body_disturbs_nobody(api: Api) -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b'{"name": ', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [
        (b"authorization", f"Bearer {ADMIN}".encode()),
        (b"content-type", b"application/json"),
    ]
    scope = {"type": "http", "method": "POST", "path": HOSTS, "query_string": b"", "scheme": "http"}
    await api.app({**scope, "headers": headers, "root_path": "", "state": {}}, receive, send)
    assert sent[0]["status"] == 400
    assert len(api.plane.fleet.state.hosts) == 1
