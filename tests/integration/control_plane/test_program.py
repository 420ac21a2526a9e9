"""The program as a process: how it starts, what it says, how it ends, and what it keeps."""

from __future__ import annotations

import asyncio
import re
import signal
import stat
from pathlib import Path

import pytest

from domain.identity import token_hash_of
from tests.integration.control_plane.asking import COMPOSE, SECRET, add_host, deploy
from tests.support.control_plane_process import (
    run_control_plane,
    running_control_plane,
)
from tests.support.ports import bound, port_of


def files_below(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.rglob("*") if path.is_file()}


async def test_it_starts_without_configuration_and_tells_its_code_once(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as first, first.client() as client:
        token = first.token
        assert token.startswith("ida_")
        (code,) = re.findall(r"ids_\S+", first.printed())
        assert code not in first.log()
        body = {"code": code, "name": "eve", "password": "correct horse battery"}
        assert (await client.post("/setup", json=body)).json()["code"] == "conflict"
        assert (await client.get("/hosts")).json() == {"items": [], "next": None}
        await add_host(client)
        assert await first.stop() == 0
        assert token not in first.log()
    async with running_control_plane(tmp_path, token=token) as again, again.client() as client:
        assert again.printed() == ""
        assert [one["name"] for one in (await client.get("/hosts")).json()["items"]] == ["old-1"]
        assert await again.stop(signal.SIGINT) == 0


async def test_under_systemd_the_code_does_not_go_into_the_journal(tmp_path: Path) -> None:
    (tmp_path / "printed").touch()
    status = (tmp_path / "printed").stat()
    journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    async with running_control_plane(tmp_path, settings=journal) as one:
        assert "ids_" not in one.printed()
        assert "reset-token" in one.printed()


async def test_nothing_secret_is_in_its_files_its_log_or_what_it_prints(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        host_token = await add_host(client)
        enrolment = await client.post("/enrolments", json={"name": "web-1"})
        await deploy(client, "old-1")
        await client.get("/jobs", headers={"Authorization": f"Bearer {SECRET}"})
        await client.get(f"/jobs?token={SECRET}")
        secrets = [one.token, host_token, enrolment.json()["token"], SECRET, "image: nginx"]
    found = files_below(tmp_path)
    assert {"control-plane.db", "identity.json", "payload.key", "control-plane.log"} <= set(found)
    found.pop("printed")
    for name, content in found.items():
        for secret in secrets:
            assert secret.encode() not in content, f"{secret} is in {name}"
    for path in (tmp_path / "state").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


async def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        await add_host(client)
        jobs = [await deploy(client, "old-1")]
        one.process.kill()
        await one.process.wait()
    async with running_control_plane(tmp_path, token=one.token) as again, again.client() as client:
        kept = (await client.get("/jobs")).json()["items"]
        assert [job["id"] for job in kept] == jobs
        assert kept[0]["state"] == "queued"


class TestWhatCannotStart:
    async def test_a_wrong_configuration(self, tmp_path: Path) -> None:
        settings = {"CONTROL_PLANE_LISTEN": "x", "DATABASE_URL": f"mysql://u:{SECRET}@h/d"}
        for arguments in ([], ["--check"], ["reset-token"]):
            code, printed, said = await run_control_plane(tmp_path, arguments, settings)
            assert (code, printed) == (78, "")
            first, second = sorted(said.splitlines())
            assert first.startswith("instadeploy-control-plane: CONTROL_PLANE_LISTEN: ")
            assert second.startswith("instadeploy-control-plane: DATABASE_URL: ")
            assert SECRET not in said
        assert list(tmp_path.iterdir()) == []

    async def test_a_check_starts_nothing(self, tmp_path: Path) -> None:
        code, printed, said = await run_control_plane(tmp_path, ["--check"])
        assert (code, said) == (0, "")
        assert printed.startswith("The configuration is valid. Listening on http://127.0.0.1:0;")
        assert list(tmp_path.iterdir()) == []

    async def test_an_address_that_is_taken(self, tmp_path: Path) -> None:
        with bound() as taken:
            taken.listen()
            settings = {"CONTROL_PLANE_LISTEN": f"127.0.0.1:{port_of(taken)}"}
            code, printed, said = await run_control_plane(tmp_path, [], settings)
        assert (code, printed) == (1, "")
        assert "cannot be listened on: Address already in use" in said
        assert not (tmp_path / "state").exists()

    async def test_a_second_one_on_one_database(self, tmp_path: Path) -> None:
        async with running_control_plane(tmp_path) as one:
            code, _, said = await run_control_plane(tmp_path, [])
            assert code == 1
            assert "another control plane" in said
            async with one.client() as client:
                assert (await client.get("/hosts")).status_code == 200

    async def test_a_state_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file")
        code, _, said = await run_control_plane(tmp_path, [])
        assert code == 1
        assert "Traceback" not in said

    @pytest.mark.parametrize("name", ["payload.key", "identity.json"])
    async def test_a_key_file_that_is_spoilt(self, tmp_path: Path, name: str) -> None:
        async with running_control_plane(tmp_path):
            pass
        (tmp_path / "state" / name).write_bytes(b"spoilt")
        code, _, said = await run_control_plane(tmp_path, [])
        assert code == 1
        assert name in said
        assert "Traceback" not in said

    @pytest.mark.parametrize("name", ["payload.key", "identity.json"])
    async def test_a_database_whose_keys_are_missing(self, tmp_path: Path, name: str) -> None:
        async with running_control_plane(tmp_path):
            pass
        (tmp_path / "state" / name).unlink()
        code, _, said = await run_control_plane(tmp_path, [])
        assert code == 1
        assert f"{name} cannot be found" in said
        assert not (tmp_path / "state" / name).exists()


async def test_without_its_payload_key_it_starts_only_where_that_is_said(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one, one.client() as client:
        await add_host(client)
        body = {"project": "blog", "compose": COMPOSE, "hosts": ["old-1"]}
        made = (await client.post("/deployments", json=body)).json()
    (tmp_path / "state" / "payload.key").unlink()
    async with (
        running_control_plane(tmp_path, token=one.token, arguments=["--new-keys"]) as again,
        again.client() as client,
    ):
        assert (await client.get(f"/deployments/{made['id']}")).status_code == 200
        response = await client.post(f"/deployments/{made['id']}/redeploy")
        assert response.status_code == 503
        assert response.json()["code"] == "storage_unavailable"
        assert "sealed under another key" in again.log()


class TestTokenReset:
    async def test_while_it_runs(self, tmp_path: Path) -> None:
        async with running_control_plane(tmp_path) as one, one.client() as client:
            await add_host(client)
            job_id = await deploy(client, "old-1")
            async with client.stream("GET", f"/jobs/{job_id}/feed") as stream:
                assert stream.status_code == 200
                code, printed, _ = await run_control_plane(tmp_path, ["reset-token"])
                assert code == 0
                (token,) = re.findall(r"ida_\S+", printed)
                async with asyncio.timeout(5):
                    async for _ in stream.aiter_bytes():
                        pass
            assert (await client.get("/hosts")).status_code == 401
            async with one.client(token) as other:
                assert (await other.get("/hosts")).status_code == 200
            assert token not in one.log()
            assert not (tmp_path / "state" / "administrator-token.sha256").exists()

    async def test_while_it_does_not_run_and_before_it_ever_did(self, tmp_path: Path) -> None:
        _, printed, _ = await run_control_plane(tmp_path, ["reset-token"])
        (token,) = re.findall(r"ida_\S+", printed)
        left = (tmp_path / "state" / "administrator-token.sha256").read_text().strip()
        assert left == token_hash_of(token)
        async with running_control_plane(tmp_path, token=token) as one, one.client() as client:
            assert one.printed() == ""
            assert (await client.get("/hosts")).status_code == 200

    async def test_what_is_left_and_is_no_hash_is_removed_and_changes_nothing(
        self, tmp_path: Path
    ) -> None:
        async with running_control_plane(tmp_path) as one:
            pass
        (tmp_path / "state" / "administrator-token.sha256").write_text("' OR 1=1")
        async with running_control_plane(tmp_path, token=one.token) as again:
            async with again.client() as client:
                assert (await client.get("/hosts")).status_code == 200
            assert "holds no hash" in again.log()


async def test_a_renewed_epoch_is_another_one(tmp_path: Path) -> None:
    async with running_control_plane(tmp_path) as one:
        code, _, said = await run_control_plane(tmp_path, ["renew-epoch"])
        assert code == 1
        assert "another control plane" in said
    code, printed, _ = await run_control_plane(tmp_path, ["renew-epoch"])
    assert code == 0
    assert "asked again" in printed
    async with running_control_plane(tmp_path, token=one.token) as again, again.client() as client:
        assert (await client.get("/hosts")).status_code == 200
