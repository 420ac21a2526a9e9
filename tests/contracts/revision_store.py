"""What every `RevisionStore` must do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from application.ports.revision_store import RevisionStore
from domain.content import ExtraFile, ProjectContent
from domain.deploy_options import DeployOptions, PullPolicy
from domain.errors import NoSpace, NotFound, StorageUnavailable
from domain.project import ComposeFile, ProjectName
from domain.revision import Draft, RanImage, Revision, RevisionState

BLOG = ProjectName("Blog")
KEPT = 3
OPTIONS = DeployOptions(
    pull=PullPolicy.ALWAYS,
    wait=False,
    wait_timeout_s=12.5,
    remove_orphans=True,
    profiles=("a", "b"),
    auto_rollback=False,
    labels=(("ticket", "OPS-1"), ("why", "größer")),
    requested_by="ann@example.com",
)
IMAGES = (RanImage("web", "nginx:latest", "sha256:01", "nginx@sha256:02"), RanImage("db", "db", ""))


def content(text: str = "x", *, env: bytes | None = None) -> ProjectContent:
    """Contents of two texts are two."""
    file = ComposeFile(f"services: {{web: {{image: {text}}}}}\n".encode())
    files = (ExtraFile("conf/a", b"\0\xff" + text.encode(), 0o600), ExtraFile("run.sh", b"", 0o755))
    return ProjectContent(file, env, files)


def draft(job_id: str, text: str = "x", *, env: bytes | None = None) -> Draft:
    """What a job is about to deploy."""
    return Draft(job_id, content(text, env=env), OPTIONS, created_at=1700000000.25)


async def settled_until_refused(store: RevisionStore) -> int:
    """Write one end of the first revision after another; returns the number of the last."""
    for number in range(1, 1000):
        try:
            await store.settle(BLOG, 1, RevisionState.FAILED, error=f"error {number}")
        except NoSpace:
            return number - 1
    raise AssertionError("a disk without room has room for everything")


class RevisionStoreContract:
    """Give a `store` that keeps `KEPT` revisions, and ways to look behind it.

    `contents` counts the contents that are kept; `fill_disk` has writes fail from then on;
    `spoil_content` changes the content of a digest, and `spoil_history` the history of a project.
    """

    @pytest.fixture
    def store(self) -> RevisionStore:
        raise NotImplementedError

    @pytest.fixture
    def contents(self) -> Callable[[], int]:
        raise NotImplementedError

    @pytest.fixture
    def fill_disk(self) -> Callable[[], None]:
        raise NotImplementedError

    @pytest.fixture
    def spoil_content(self) -> Callable[[str], None]:
        raise NotImplementedError

    @pytest.fixture
    def spoil_history(self) -> Callable[[str], None]:
        raise NotImplementedError

    async def test_a_project_that_never_had_a_revision_has_an_empty_history(
        self, store: RevisionStore
    ) -> None:
        history = await store.history(BLOG)
        assert (history.name, history.revisions, history.current) == (BLOG, (), None)

    async def test_a_revision_is_pending_and_has_all_that_was_drafted(
        self, store: RevisionStore
    ) -> None:
        made = await store.add(BLOG, draft("job-1", env=b"A=1\n"))
        assert made == Revision(
            1, content(env=b"A=1\n").digest, "job-1", 1700000000.25, OPTIONS, RevisionState.PENDING
        )
        assert (await store.history(BLOG)).revisions == (made,)
        assert await store.content(BLOG, 1) == content(env=b"A=1\n")

    @pytest.mark.parametrize("env", [None, b"", b"\xff=\n"])
    async def test_content_comes_back_as_it_was(
        self, store: RevisionStore, env: bytes | None
    ) -> None:
        await store.add(BLOG, draft("job-1", env=env))
        assert await store.content(BLOG, 1) == content(env=env)

    async def test_numbers_rise_and_one_job_makes_one_revision(self, store: RevisionStore) -> None:
        first = await store.add(BLOG, draft("job-1"))
        second = await store.add(BLOG, draft("job-2"))
        assert (first.number, second.number) == (1, 2)
        assert await store.add(BLOG, draft("job-1", "other")) == first
        assert len((await store.history(BLOG)).revisions) == 2

    async def test_revisions_of_one_content_share_it(
        self, store: RevisionStore, contents: Callable[[], int]
    ) -> None:
        for number in (1, 2):
            await store.add(BLOG, draft(f"job-{number}"))
        assert contents() == 1
        assert await store.content(BLOG, 1) == await store.content(BLOG, 2)

    async def test_names_that_are_one_project_to_compose_have_one_history(
        self, store: RevisionStore
    ) -> None:
        await store.add(BLOG, draft("job-1"))
        await store.add(ProjectName("shop"), draft("job-2"))
        other = await store.add(ProjectName("bLOG"), draft("job-3"))
        assert other.number == 2
        assert [one.job_id for one in (await store.history(BLOG)).revisions] == ["job-1", "job-3"]

    async def test_what_became_of_a_revision_is_kept_and_again_is_harmless(
        self, store: RevisionStore
    ) -> None:
        await store.add(BLOG, draft("job-1"))
        for _ in range(2):
            await store.settle(BLOG, 1, RevisionState.GOOD, images=IMAGES)
        good = (await store.history(BLOG)).find(1)
        assert (good.state, good.error, good.images) == (RevisionState.GOOD, "", IMAGES)
        await store.settle(BLOG, 1, RevisionState.FAILED, error="no such image")
        failed = (await store.history(BLOG)).find(1)
        assert (failed.state, failed.error) == (RevisionState.FAILED, "no such image")

    async def test_what_is_said_of_a_failure_has_an_end(self, store: RevisionStore) -> None:
        await store.add(BLOG, draft("job-1"))
        await store.settle(BLOG, 1, RevisionState.FAILED, error="ä\udc80" * 100_000)
        error = (await store.history(BLOG)).find(1).error
        assert error.startswith("ä?ä")
        assert len(error.encode()) <= 8 * 1024

    async def test_the_wanted_revision_is_kept_and_may_be_none(self, store: RevisionStore) -> None:
        made = await store.add(BLOG, draft("job-1"))
        await store.want(BLOG, 1)
        assert (await store.history(BLOG)).wanted == made
        await store.want(BLOG, None)
        assert (await store.history(BLOG)).wanted is None

    async def test_unknown_revisions_are_not_found(self, store: RevisionStore) -> None:
        await store.add(BLOG, draft("job-1"))
        for call in (
            store.content(BLOG, 2),
            store.settle(BLOG, 2, RevisionState.GOOD),
            store.want(BLOG, 2),
            store.want(ProjectName("shop"), 1),
        ):
            with pytest.raises(NotFound, match="has no revision"):
                await call

    async def test_old_revisions_go_with_their_contents_but_not_those_still_needed(
        self, store: RevisionStore, contents: Callable[[], int]
    ) -> None:
        for number in range(1, 9):
            await store.add(BLOG, draft(f"job-{number}", f"image-{number}"))
            await store.settle(
                BLOG, number, RevisionState.GOOD if number == 2 else RevisionState.FAILED
            )
            if number == 1:
                await store.want(BLOG, 1)
        await store.want(BLOG, 1)
        kept = [one.number for one in (await store.history(BLOG)).revisions]
        assert kept == [1, 2, 6, 7, 8]
        assert contents() == len(kept)
        assert [await store.content(BLOG, number) for number in kept] == [
            content(f"image-{number}") for number in kept
        ]

    async def test_a_number_never_comes_again(self, store: RevisionStore) -> None:
        for number in range(1, 6):
            made = await store.add(BLOG, draft(f"job-{number}"))
            assert made.number == number
            await store.settle(BLOG, number, RevisionState.FAILED)
            await store.want(BLOG, None)
        assert len((await store.history(BLOG)).revisions) == KEPT

    async def test_failures_alone_do_not_fill_the_disk(
        self, store: RevisionStore, contents: Callable[[], int]
    ) -> None:
        for number in range(1, 10):
            await store.add(BLOG, draft(f"job-{number}", f"image-{number}"))
            await store.settle(BLOG, number, RevisionState.FAILED)
        assert contents() <= KEPT + 1

    async def test_a_history_can_be_forgotten_and_again_is_harmless(
        self, store: RevisionStore, contents: Callable[[], int]
    ) -> None:
        await store.forget(BLOG)
        await store.add(BLOG, draft("job-1"))
        for _ in range(2):
            await store.forget(BLOG)
            assert (await store.history(BLOG)).revisions == ()
        assert contents() == 0
        assert (await store.add(BLOG, draft("job-2"))).job_id == "job-2"

    async def test_a_full_disk_takes_no_new_revision_and_loses_none(
        self, store: RevisionStore, contents: Callable[[], int], fill_disk: Callable[[], None]
    ) -> None:
        await store.add(BLOG, draft("job-1"))
        before = await store.history(BLOG)
        fill_disk()
        with pytest.raises(NoSpace, match="no space left"):
            await store.add(BLOG, draft("job-2", "other"))
        assert await store.history(BLOG) == before
        assert contents() == 1

    async def test_a_full_disk_takes_how_deployments_ended(
        self, store: RevisionStore, fill_disk: Callable[[], None]
    ) -> None:
        shop = ProjectName("shop")
        for name in (BLOG, shop):
            await store.add(name, draft(f"job-{name}", env=b"A=1\n"))
        fill_disk()
        await store.settle(BLOG, 1, RevisionState.GOOD, images=IMAGES)
        await store.want(BLOG, 1)
        await store.settle(shop, 1, RevisionState.FAILED, error="no such image")
        history = await store.history(BLOG)
        assert (history.current, history.find(1).images) == (1, IMAGES)
        assert (await store.history(shop)).find(1).error == "no such image"
        assert await store.content(BLOG, 1) == content(env=b"A=1\n")

    async def test_room_for_ends_is_kept_back_without_a_new_revision_too(
        self, store: RevisionStore, fill_disk: Callable[[], None]
    ) -> None:
        for _ in range(2):
            await store.reserve()
        assert (await store.history(BLOG)).revisions == ()
        fill_disk()
        await store.reserve()

    async def test_where_no_room_is_left_at_all_the_last_note_stands(
        self, store: RevisionStore, contents: Callable[[], int], fill_disk: Callable[[], None]
    ) -> None:
        await store.add(BLOG, draft("job-1"))
        fill_disk()
        written = await settled_until_refused(store)
        assert written >= 8
        assert (await store.history(BLOG)).find(1).error == f"error {written}"
        for call in (
            store.settle(BLOG, 1, RevisionState.GOOD),
            store.want(BLOG, 1),
            store.reserve(),
        ):
            with pytest.raises(NoSpace, match="no space left"):
                await call
        assert contents() == 1

    async def test_spoilt_content_is_never_given_back_and_mended_by_the_same_content(
        self, store: RevisionStore, spoil_content: Callable[[str], None]
    ) -> None:
        made = await store.add(BLOG, draft("job-1"))
        spoil_content(made.digest)
        with pytest.raises(StorageUnavailable, match="revision 1 of project 'Blog' is damaged"):
            await store.content(BLOG, 1)
        await store.add(BLOG, draft("job-2"))
        assert await store.content(BLOG, 1) == content()

    async def test_a_spoilt_history_begins_anew_with_higher_numbers(
        self, store: RevisionStore, spoil_history: Callable[[str], None]
    ) -> None:
        for job_id in ("job-1", "job-2"):
            await store.add(BLOG, draft(job_id))
        spoil_history("blog")
        assert (await store.history(BLOG)).revisions == ()
        assert (await store.add(BLOG, draft("job-3"))).number > 2
