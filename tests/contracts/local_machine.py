"""What every `Machine` must do of files: as root, and below a directory `root` that is there."""

from __future__ import annotations

import pytest

from application.ports.machine import Kept, Machine
from domain.errors import Busy, StorageUnavailable

OWNER = "nobody"
"""A user that every machine has."""


class MachineContract:
    """A subclass brings the fixtures `machine` and `root`."""

    def test_nothing_is_there(self, machine: Machine, root: str) -> None:
        path = f"{root}/none"
        assert machine.look(path) is None
        assert machine.look(path, follow=True) is None
        assert machine.names_in(path) == []
        assert machine.count_of(path, "root") == 0
        machine.remove(path)

    def test_a_file_is_as_it_was_written(self, machine: Machine, root: str) -> None:
        path = f"{root}/file"
        for kept in (
            Kept(0o600, "root", b"secret"),
            Kept(0o644, OWNER, b""),
            Kept(0o640, "root", b"x", group="adm"),
        ):
            machine.write(path, kept)
            assert machine.look(path) == kept
        assert machine.names_in(root) == ["file"]
        machine.remove(path)
        assert machine.look(path) is None

    def test_a_file_needs_its_directory(self, machine: Machine, root: str) -> None:
        with pytest.raises(StorageUnavailable):
            machine.write(f"{root}/none/file", Kept(0o600, "root", b"x"))

    def test_a_directory_is_made_and_changed(self, machine: Machine, root: str) -> None:
        path = f"{root}/directory"
        for kept in (Kept(0o700, OWNER), Kept(0o2775, "root", group="adm"), Kept(0o755, "root")):
            machine.make_directory(path, kept)
            assert machine.look(path) == kept
        machine.write(f"{path}/file", Kept(0o600, "root", b"x"))
        machine.remove(path)
        assert machine.names_in(root) == []

    def test_a_file_in_the_place_of_a_directory(self, machine: Machine, root: str) -> None:
        machine.write(f"{root}/file", Kept(0o600, "root", b"x"))
        with pytest.raises(StorageUnavailable):
            machine.make_directory(f"{root}/file", Kept(0o755, "root"))
        assert machine.look(f"{root}/file") == Kept(0o600, "root", b"x")

    def test_a_link_leads_somewhere_and_is_replaced(self, machine: Machine, root: str) -> None:
        for name in ("a", "b"):
            machine.make_directory(f"{root}/{name}", Kept(0o755, "root"))
            machine.link(f"{root}/link", f"{root}/{name}")
            found = machine.look(f"{root}/link")
            assert found is not None
            assert found.target == f"{root}/{name}"
            assert not found.is_directory
        machine.write(f"{root}/link/file", Kept(0o600, "root", b"x"))
        assert machine.names_in(f"{root}/b") == machine.names_in(f"{root}/link") == ["file"]
        machine.remove(f"{root}/link")
        assert machine.names_in(root) == ["a", "b"]
        assert machine.names_in(f"{root}/b") == ["file"]

    def test_a_directory_behind_a_link_is_changed_and_the_link_stays(
        self, machine: Machine, root: str
    ) -> None:
        machine.make_directory(f"{root}/real", Kept(0o755, "root"))
        machine.link(f"{root}/link", f"{root}/real")
        machine.make_directory(f"{root}/link", Kept(0o700, OWNER))
        assert machine.look(f"{root}/real") == Kept(0o700, OWNER)
        assert machine.look(f"{root}/link", follow=True) == Kept(0o700, OWNER)
        found = machine.look(f"{root}/link")
        assert found is not None
        assert found.target == f"{root}/real"

    def test_a_link_to_nowhere(self, machine: Machine, root: str) -> None:
        machine.link(f"{root}/link", f"{root}/none")
        assert machine.look(f"{root}/link", follow=True) is None
        assert machine.look(f"{root}/link") is not None

    def test_what_belongs_to_one_is_given_to_another_and_back(
        self, machine: Machine, root: str
    ) -> None:
        top = f"{root}/top"
        laid_out = {
            top: Kept(0o755, "root"),
            f"{top}/below": Kept(0o700, "root", group="adm"),
            f"{top}/below/file": Kept(0o600, "root", b"x"),
            f"{top}/others": Kept(0o700, "daemon"),
            f"{top}/others/file": Kept(0o644, "root", b"y"),
        }
        for path, kept in laid_out.items():
            if kept.is_directory:
                machine.make_directory(path, kept)
            else:
                machine.write(path, kept)
        machine.make_directory(f"{root}/outside", Kept(0o755, "root"))
        machine.write(f"{root}/outside/file", Kept(0o600, "root", b"z"))
        machine.link(f"{top}/link", f"{root}/outside")
        machine.link(f"{root}/to-top", top)
        assert machine.count_of(f"{root}/to-top", "root") == 5
        machine.give(f"{root}/to-top", "root", OWNER)
        assert machine.count_of(top, "root") == 0
        assert machine.look(f"{top}/below") == Kept(0o700, OWNER, group="adm")
        assert machine.look(f"{top}/others") == Kept(0o700, "daemon")
        assert machine.look(f"{root}/outside/file") == Kept(0o600, "root", b"z")
        assert machine.look(f"{root}/outside") == Kept(0o755, "root")
        machine.give(top, OWNER, "root")
        for path, kept in laid_out.items():
            assert machine.look(path) == kept

    def test_nobody_else_is_let_in(self, machine: Machine, root: str) -> None:
        with machine.alone(), pytest.raises(Busy), machine.alone():
            raise AssertionError("unreachable")
        with machine.alone():
            pass

    def test_a_program_that_is_unpacked_already_stays(self, machine: Machine, root: str) -> None:
        machine.make_directory(f"{root}/release", Kept(0o755, "root"))
        machine.write(f"{root}/release/file", Kept(0o600, "root", b"x"))
        machine.unpack("/nowhere/agent", f"{root}/release")
        assert machine.names_in(f"{root}/release") == ["file"]
