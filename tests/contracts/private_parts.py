"""What every `PrivateParts` must do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from application.ports.private_parts import PrivateParts
from domain.commands import Command, DeployCompose, PlanCompose, RegistryLogin, StopCompose
from domain.content import ExtraFile
from domain.deploy_options import DeployOptions
from domain.errors import NoSpace, StorageUnavailable
from domain.project import ComposeFile, ProjectName

PASSWORD = "correct horse"
DEPLOYMENT = DeployCompose(
    ProjectName("Blog"),
    ComposeFile(b"services: {web: {image: x}}\n"),
    env="A=größer\n".encode(),
    files=(ExtraFile("conf/a", b"\0\xff", 0o600), ExtraFile("run.sh", b"", 0o755)),
    options=DeployOptions(wait_timeout_s=12.5, labels=(("a", "b"),)),
    registry_auth=(RegistryLogin("registry.example.com:5000", "ann", PASSWORD),),
)


class PrivatePartsContract:
    """Give the `parts`, and ways to look behind them.

    `held` counts what lies there; `fill_disk` has writes fail from then on; `spoil` changes what is
    kept for a job.
    """

    @pytest.fixture
    def parts(self) -> PrivateParts:
        raise NotImplementedError

    @pytest.fixture
    def held(self) -> Callable[[], int]:
        raise NotImplementedError

    @pytest.fixture
    def fill_disk(self) -> Callable[[], None]:
        raise NotImplementedError

    @pytest.fixture
    def spoil(self) -> Callable[[str], None]:
        raise NotImplementedError

    @pytest.mark.parametrize(
        "command", [DEPLOYMENT, PlanCompose(DEPLOYMENT), StopCompose(ProjectName("Blog"))]
    )
    @pytest.mark.parametrize("job_id", ["job-1", "../../etc/passwd", "ä/" * 120])
    async def test_what_is_kept_is_restored_as_it_was(
        self, parts: PrivateParts, command: Command, job_id: str
    ) -> None:
        await parts.keep(job_id, command)
        for _ in range(2):
            assert await parts.restore(job_id) == command

    async def test_each_job_has_its_own_and_the_last_one_counts(
        self, parts: PrivateParts, held: Callable[[], int]
    ) -> None:
        other = StopCompose(ProjectName("shop"))
        await parts.keep("job-1", other)
        await parts.keep("job-1", DEPLOYMENT)
        await parts.keep("job-2", other)
        assert (await parts.restore("job-1"), await parts.restore("job-2")) == (DEPLOYMENT, other)
        assert held() == 2

    async def test_what_was_never_kept_is_gone(self, parts: PrivateParts) -> None:
        with pytest.raises(StorageUnavailable, match="job 'job-1' is gone"):
            await parts.restore("job-1")

    async def test_what_is_wiped_is_gone_and_again_is_harmless(
        self, parts: PrivateParts, held: Callable[[], int]
    ) -> None:
        await parts.wipe("job-1")
        await parts.keep("job-1", DEPLOYMENT)
        for _ in range(2):
            await parts.wipe("job-1")
            assert held() == 0
        with pytest.raises(StorageUnavailable):
            await parts.restore("job-1")

    async def test_all_but_some_are_wiped(
        self, parts: PrivateParts, held: Callable[[], int]
    ) -> None:
        await parts.wipe_all_but(["job-1"])
        for number in range(4):
            await parts.keep(f"job-{number}", DEPLOYMENT)
        await parts.wipe_all_but(iter(["job-1", "job-2", "job-9"]))
        assert held() == 2
        assert await parts.restore("job-1") == await parts.restore("job-2") == DEPLOYMENT
        await parts.wipe_all_but([])
        assert held() == 0

    async def test_what_is_spoilt_is_not_given_back_nor_quoted(
        self, parts: PrivateParts, spoil: Callable[[str], None]
    ) -> None:
        await parts.keep("job-1", DEPLOYMENT)
        spoil("job-1")
        with pytest.raises(StorageUnavailable, match="job 'job-1' is damaged") as raised:
            await parts.restore("job-1")
        assert PASSWORD not in str(raised.value)

    async def test_a_full_disk_is_said_and_leaves_nothing(
        self, parts: PrivateParts, held: Callable[[], int], fill_disk: Callable[[], None]
    ) -> None:
        await parts.keep("job-1", DEPLOYMENT)
        fill_disk()
        for job_id in ("job-1", "job-2"):
            with pytest.raises(NoSpace, match="no space left"):
                await parts.keep(job_id, StopCompose(ProjectName("shop")))
        assert held() == 1
        assert await parts.restore("job-1") == DEPLOYMENT
        await parts.wipe("job-1")
        assert held() == 0
