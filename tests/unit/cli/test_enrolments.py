"""enrolments: what was given out, and how one whose command line is lost is replaced."""

from __future__ import annotations

from tests.unit.cli.running import CommandLine


def test_they_are_listed_those_that_can_be_used_first_of_all(cli: CommandLine) -> None:
    assert "hosts enroll" in cli.ok("enrolments", "list").out
    for name in ("new-1", "new-2"):
        cli.ok("hosts", "enroll", name, "-l", "env=prod")
    cli.ok("enrolments", "withdraw", "new-1")
    rows = [line.split()[1:4] for line in cli.ok("enrolments", "list").out.splitlines()]
    assert rows == [["HOST", "STATE", "LABELS"], ["new-2", "open", "env=prod"]]
    every = cli.ok("enrolments", "list", "--all", "-o", "json").document()["items"]
    assert [(one["name"], one["state"]) for one in every] == [
        ("new-2", "open"),
        ("new-1", "closed"),
    ]
    assert cli.ok("enrolments", "list", "-q").out == f"{every[0]['id']}\n"


def test_one_whose_command_line_is_lost_is_replaced_as_the_error_says(cli: CommandLine) -> None:
    cli.ok("hosts", "enroll", "new-1")
    ran = cli.run("hosts", "enroll", "New-1")
    assert ran.code == 6
    assert "an enrolment is open" in ran.err
    assert "instadeploy enrolments withdraw New-1" in ran.err
    assert "withdrawn" in cli.ok("enrolments", "withdraw", "New-1").out
    cli.ok("hosts", "enroll", "New-1")


def test_a_name_that_a_host_has_is_no_matter_of_enrolments(cli: CommandLine) -> None:
    ran = cli.run("hosts", "enroll", "web-1")
    assert ran.code == 6
    assert "enrolments withdraw" not in ran.err


def test_one_is_withdrawn_by_its_id_too(cli: CommandLine) -> None:
    cli.ok("hosts", "enroll", "new-1")
    (enrolment_id,) = cli.world.enrolments
    ran = cli.ok("enrolments", "withdraw", enrolment_id, "-o", "json")
    assert ran.document() == {"withdrawn": enrolment_id}


def test_what_is_not_there_is_not_found(cli: CommandLine) -> None:
    assert cli.run("enrolments", "withdraw", "enr_none").code == 5
    ran = cli.run("enrolments", "withdraw", "new-9", "-o", "json")
    assert (ran.code, ran.error()["code"]) == (5, "not_found")
