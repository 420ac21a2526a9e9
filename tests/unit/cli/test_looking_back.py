"""Commands about what was, and who did it: histories, jobs, users, tokens, the audit trail."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.running import CommandLine
from tests.unit.cli.told import REVISION, ends
from tests.unit.cli.world import AT, TOKEN


class TestHistories:
    @pytest.fixture
    def deployed(self, cli: CommandLine) -> CommandLine:
        for tag in ("1", "2"):
            cli.ok("deploy", "web-1", "blog", "-q")
            deployment = list(cli.world.deployments)[-1]
            cli.world.contents[deployment] = {
                "compose": f"services:\n  web:\n    image: nginx:{tag}\n",
                "variables": [
                    {"name": "TAG", "fingerprint": tag},
                    {"name": "SAME", "fingerprint": "x"},
                ],
                "files": [{"path": f"f{tag}", "bytes": 1, "mode": "0644", "fingerprint": "y"}],
                "options": {},
            }
        revisions = [
            {**REVISION, "revision": number, "job_id": job_id}
            for number, job_id in enumerate(list(cli.world.jobs), 1)
        ]
        revisions.append({**REVISION, "revision": 3, "job_id": "adopted"})
        cli.world.endings["web-1"] = ends(current=2, revisions=revisions)
        return cli

    def test_revisions_beside_jobs(self, deployed: CommandLine) -> None:
        out = deployed.ok("history", "web-1", "blog").out
        assert any(line.startswith("*") and line.split()[1] == "2" for line in out.splitlines())
        assert "DEPLOY_COMPOSE" in out
        document = deployed.ok("history", "web-1", "blog", "-o", "json").document()
        assert document["revisions"]["current"] == 2
        assert document["jobs"]
        assert deployed.ok("history", "web-1", "blog", "-q").out == "1\n2\n3\n"

    def test_the_difference_of_two_revisions(self, deployed: CommandLine) -> None:
        lines = deployed.ok("diff", "web-1", "blog", "1", "2").out.splitlines()
        assert "-    image: nginx:1" in lines
        assert "+    image: nginx:2" in lines
        assert "~ variable TAG  changed" in lines
        assert "- file f1  removed" in lines
        assert "+ file f2  added" in lines
        assert not any("SAME" in line for line in lines)
        document = deployed.ok("diff", "web-1", "blog", "1", "2", "-o", "json").document()
        assert document["variables"] == [{"name": "TAG", "what": "changed"}]
        assert deployed.ok("diff", "web-1", "blog", "1", "1").out == "No difference.\n"

    @pytest.mark.parametrize(
        ("number", "says"), [("9", "there is: 1, 2, 3"), ("3", "found on the host")]
    )
    def test_a_revision_whose_content_is_not_there(
        self, deployed: CommandLine, number: str, says: str
    ) -> None:
        ran = deployed.run("diff", "web-1", "blog", "1", number)
        assert ran.code == 5
        assert says in ran.err


class TestJobs:
    def test_listing_and_showing(self, cli: CommandLine) -> None:
        cli.ok("deploy", "web-1", "blog", "-q")
        (job,) = cli.world.jobs
        assert job in cli.ok("jobs", "list", "--host", "web-1", "--state", "succeeded").out
        assert cli.world.asked[-1][1]["query"] == [("host", "web-1"), ("state", "succeeded")]
        assert "apply" in cli.ok("jobs", "show", job).out
        assert cli.ok("jobs", "show", job, "-o", "json").document()["id"] == job
        (deployment,) = cli.world.deployments
        assert "web-1" in cli.ok("jobs", "show", deployment).out

    def test_following_one_again(self, cli: CommandLine) -> None:
        cli.ok("deploy", "web-1", "web-2", "blog", "-q")
        (deployment,) = cli.world.deployments
        for what in (deployment, *cli.world.jobs):
            assert "succeeded" in cli.ok("jobs", "follow", what).out
        events = [
            json.loads(line)
            for line in cli.ok("jobs", "follow", deployment, "-o", "json").out.splitlines()
        ]
        assert events[-1]["event"] == "end"
        assert {event["host"] for event in events[:-1]} == {"web-1", "web-2"}
        assert cli.run("jobs", "follow", "job_nope").code == 5

    def test_canceling(self, cli: CommandLine) -> None:
        cli.world.endings["web-1"] = ends("running")
        cli.ok("deploy", "web-1", "blog", "--detach")
        (job,) = cli.world.jobs
        assert "canceling" in cli.ok("jobs", "cancel", job).out
        assert cli.run("jobs", "follow", job, "--timeout", "0.05", "-o", "json").code == 8
        (deployment,) = cli.world.deployments
        assert cli.ok("jobs", "cancel", deployment, "-o", "json").document()["id"] == deployment


class TestPeople:
    def test_adding_and_changing_a_user(self, cli: CommandLine) -> None:
        cli.ok(
            "users", "add", "bob", "deployer:env=prod,zone=a", "viewer", stdin="a long password\n"
        )
        (asked,) = cli.asked("add user")
        assert asked["grants"] == [
            {"role": "deployer", "labels": {"env": "prod", "zone": "a"}},
            {"role": "viewer", "labels": {}},
        ]
        assert asked["password"] == "a long password"
        assert "deployer:env=prod,zone=a viewer" in cli.ok("users", "list").out
        cli.ok("users", "disable", "bob")
        assert "disabled" in cli.ok("users", "show", "bob").out
        cli.ok("users", "enable", "bob")
        cli.ok("users", "grant", "bob", "none")
        assert cli.world.users["bob"]["grants"] == []
        cli.ok("users", "password", "bob", stdin="another one\n")
        assert cli.asked("change user")[-1] == {"user": "bob", "password": "another one"}
        assert cli.run("users", "remove", "bob").code == 2
        cli.ok("users", "remove", "bob", "--yes")
        assert "bob" not in cli.world.users

    def test_a_user_without_a_password(self, cli: CommandLine) -> None:
        cli.ok("users", "add", "robot", "deployer", "--no-password")
        assert "password" not in cli.asked("add user")[0]
        assert cli.run("users", "add", "x", "king", "--no-password").code == 7
        assert cli.run("users", "add", "x", "viewer", stdin="").code == 7

    def test_ones_own_password(self, cli: CommandLine) -> None:
        ran = cli.ok("users", "password", stdin="old\nnew\n")
        assert cli.asked("password") == [{"current": "old", "new": "new"}]
        assert "old" not in ran.out + ran.err

    def test_tokens(self, cli: CommandLine) -> None:
        ran = cli.ok(
            "tokens", "create", "ci", "--role", "deployer", "-l", "env=prod", "--expires", "90d"
        )
        assert ran.out == f"{TOKEN}\n"
        assert cli.asked("create token") == [
            {"name": "ci", "role": "deployer", "labels": {"env": "prod"}, "expires_in_s": 7776000.0}
        ]
        (token,) = cli.world.tokens
        assert "deployer env=prod" in cli.ok("tokens", "list").out
        assert cli.ok("tokens", "create", "ci", "-o", "json").document()["token"] == TOKEN
        cli.ok("tokens", "revoke", token)
        assert cli.run("tokens", "revoke", token).code == 5

    def test_the_audit_trail(self, cli: CommandLine) -> None:
        cli.world.audit.append({
            "number": 1, "at": AT, "user": "ann", "address": "192.0.2.1", "action": "deploy",
            "host": "web-1", "project": "blog", "job_id": None, "deployment_id": None, "target": None,
            "outcome": "accepted", "detail": {}, "previous_hash": "", "hash": "ab",
        })  # fmt: skip
        assert "deploy" in cli.ok("audit", "list", "--user", "ann", "--action", "deploy").out
        assert cli.asked("audit")[0]["query"] == [("user", "ann"), ("action", "deploy")]
        assert cli.ok("audit", "list", "-o", "json").document()["items"][0]["hash"] == "ab"
        assert cli.ok("audit", "export").out == '{"number": 1}\n{"number": 2}\n'
        assert "whole" in cli.ok("audit", "verify").out
        cli.world.findings.append(
            {"number": 2, "problem": "changed", "detail": "its hash is another"}
        )
        ran = cli.run("audit", "verify")
        assert ran.code == 1
        assert "! 2: changed" in ran.out
