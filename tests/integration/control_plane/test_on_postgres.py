"""The program on PostgreSQL: the same promises as on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control_plane_process import run_control_plane, running_control_plane
from tests.support.postgres import new_database, shared_server, url_of

BODY = {"project": "blog", "compose": "services: {web: {image: nginx}}", "hosts": ["old-1"]}


@pytest.fixture
def settings() -> Iterator[dict[str, str]]:
    with new_database(shared_server()) as name:
        yield {"DATABASE_URL": url_of(shared_server(), name)}


async def test_what_was_answered_is_there_after_a_kill_and_the_token_too(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with running_control_plane(tmp_path, settings=settings) as one:
        async with one.client() as client:
            await client.post("/hosts", json={"name": "old-1"})
            made = [
                (await client.post("/deployments", json=BODY)).json()["jobs"][0]["id"]
                for _ in range(3)
            ]
            one.process.kill()
            await one.process.wait()
        assert settings["DATABASE_URL"] not in one.log()
    async with (
        running_control_plane(tmp_path, token=one.token, settings=settings) as again,
        again.client() as client,
    ):
        jobs = (await client.get("/jobs")).json()["items"]
        assert [job["id"] for job in jobs] == made[::-1]
        assert [job["state"] for job in jobs] == ["queued", "superseded", "superseded"]


async def test_requests_at_once_under_one_key_make_one_deployment(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with running_control_plane(tmp_path, settings=settings) as one, one.client() as client:
        await client.post("/hosts", json={"name": "old-1"})
        headers = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(
            *(client.post("/deployments", json=BODY, headers=headers) for _ in range(20))
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
        assert len((await client.get("/jobs")).json()["items"]) == 1


async def test_a_second_one_on_one_database_does_not_start(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with running_control_plane(tmp_path / "one", settings=settings):
        code, printed, said = await run_control_plane(tmp_path / "other", [], settings)
        assert (code, printed) == (1, "")
        assert "another control plane" in said


async def test_keys_of_another_machine_are_not_made_up(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with running_control_plane(tmp_path / "one", settings=settings):
        pass
    code, _, said = await run_control_plane(tmp_path / "other", [], settings)
    assert code == 1
    assert "identity.json and payload.key cannot be found" in said


async def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    settings = {"DATABASE_URL": "postgresql://u:s3cr3t@127.0.0.1:1/fleet"}
    code, _, said = await run_control_plane(tmp_path, [], settings)
    assert code == 1
    assert "s3cr3t" not in said
    assert "Traceback" not in said
