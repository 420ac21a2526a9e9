"""The kinds of steps that an installation is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from application.ports.machine import Kept, Machine


class UserStep:
    """A user, and the groups that it is in."""

    def __init__(self, machine: Machine, name: str, home: str, groups: Sequence[str]) -> None:
        self.what = f"make the system user {name}, in the group {' and '.join(groups)}"
        self._machine = machine
        self._name = name
        self._home = home
        self._groups = groups
        self._made = False

    def is_needed(self) -> bool:
        """See `Step`."""
        groups = self._machine.groups_of(self._name)
        return groups is None or not groups.issuperset(self._groups)

    def do(self) -> None:
        """See `Step`."""
        self._made = self._machine.groups_of(self._name) is None
        self._machine.add_user(self._name, self._home, self._groups)

    def undo(self) -> None:
        """See `Step`."""
        if self._made:
            self._machine.remove_user(self._name)


class DirectoryStep:
    """A directory of ours, with exactly that mode and owner. Taken back, it goes with what is in it."""

    def __init__(self, machine: Machine, path: str, mode: int, owner: str) -> None:
        self.what = f"make the directory {path}, of {owner}, {mode:04o}"
        self._machine = machine
        self._path = path
        self._wanted = Kept(mode, owner)
        self._before: Kept | None = None
        self._begun = False

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.look(self._path) != self._wanted

    def do(self) -> None:
        """See `Step`."""
        self._before = self._machine.look(self._path)
        self._begun = True
        self._machine.make_directory(self._path, self._wanted)

    def undo(self) -> None:
        """See `Step`."""
        if not self._begun:
            return
        if self._before is None:
            self._machine.remove(self._path)
        else:
            self._machine.make_directory(self._path, self._before)


class SharedDirectoryStep:
    """A directory that others may have made, and use; then it stays as they want it, link or not."""

    def __init__(self, machine: Machine, path: str, owner: str = "root") -> None:
        self.what = f"make the directory {path}, of {owner}"
        self._machine = machine
        self._path = path
        self._owner = owner
        self._made = False

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.look(self._path, follow=True) is None

    def do(self) -> None:
        """See `Step`."""
        self._machine.make_directory(self._path, Kept(0o755, self._owner))
        self._made = True

    def undo(self) -> None:
        """See `Step`."""
        if self._made and not self._machine.names_in(self._path):
            self._machine.remove(self._path)


class GiveStep:
    """What one user has somewhere becomes another's: an agent ran as somebody else before."""

    def __init__(self, machine: Machine, path: str, before: str, owner: str) -> None:
        self.what = f"give what {before} has in {path} to {owner}"
        self._machine = machine
        self._path = path
        self._before = before
        self._owner = owner
        self._begun = False

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.count_of(self._path, self._before) > 0

    def do(self) -> None:
        """See `Step`."""
        self._begun = True
        self._machine.give(self._path, self._before, self._owner)

    def undo(self) -> None:
        """See `Step`."""
        if self._begun:
            self._machine.give(self._path, self._owner, self._before)


class FileStep:
    """A file of root's with a content; a callable makes that of what was there."""

    def __init__(
        self,
        machine: Machine,
        path: str,
        content: bytes | Callable[[bytes], bytes],
        mode: int,
        *,
        purpose: str = "",
        keeps_mode: bool = False,
    ) -> None:
        self.what = f"write {path}" + (f", {purpose}" if purpose else "")
        self._machine = machine
        self._path = path
        self._content = content
        self._mode = mode
        self._keeps_mode = keeps_mode
        self._before: Kept | None = None
        self._begun = False

    def _wanted(self) -> Kept:
        found = self._machine.look(self._path)
        content = self._content
        if not isinstance(content, bytes):
            content = content((found.content if found else None) or b"")
        if self._keeps_mode and found is not None and found.content is not None:
            return replace(found, content=content)
        return Kept(self._mode, "root", content)

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.look(self._path) != self._wanted()

    def do(self) -> None:
        """See `Step`."""
        wanted = self._wanted()
        self._before = self._machine.look(self._path)
        self._begun = True
        self._machine.write(self._path, wanted)

    def undo(self) -> None:
        """See `Step`."""
        if self._begun:
            put_back(self._machine, self._path, self._before)


class RemoveStep:
    """Nothing at a path. What was a file or a link is put back; a directory's content is gone for good."""

    def __init__(self, machine: Machine, path: str, purpose: str = "") -> None:
        self.what = f"remove {path}" + (f", {purpose}" if purpose else "")
        self._machine = machine
        self._path = path
        self._before: Kept | None = None

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.look(self._path) is not None

    def do(self) -> None:
        """See `Step`."""
        self._before = self._machine.look(self._path)
        self._machine.remove(self._path)

    def undo(self) -> None:
        """See `Step`."""
        if self._before is not None and not self._before.is_directory:
            put_back(self._machine, self._path, self._before)


class LinkStep:
    """A link to somewhere."""

    def __init__(self, machine: Machine, path: str, target: str, purpose: str = "") -> None:
        self.what = f"let {path} lead to {target}" + (f", {purpose}" if purpose else "")
        self._machine = machine
        self._path = path
        self._target = target
        self._before: Kept | None = None
        self._begun = False

    def is_needed(self) -> bool:
        """See `Step`."""
        found = self._machine.look(self._path)
        return found is None or found.target != self._target

    def do(self) -> None:
        """See `Step`."""
        self._before = self._machine.look(self._path)
        self._begun = True
        self._machine.link(self._path, self._target)

    def undo(self) -> None:
        """See `Step`."""
        if self._begun:
            put_back(self._machine, self._path, self._before)


class UnpackStep:
    """A build of the agent, in a directory of its own."""

    def __init__(self, machine: Machine, program: str, directory: str) -> None:
        self.what = f"unpack this agent into {directory}"
        self._machine = machine
        self._program = program
        self._directory = directory
        self._begun = False

    def is_needed(self) -> bool:
        """See `Step`."""
        return self._machine.look(self._directory) is None

    def do(self) -> None:
        """See `Step`."""
        self._machine.unpack(self._program, self._directory)
        self._begun = True

    def undo(self) -> None:
        """See `Step`."""
        if self._begun:
            self._machine.remove(self._directory)


class DoStep:
    """What is always done, such as having a program read its files again."""

    def __init__(
        self,
        what: str,
        do: Callable[[], None],
        undo: Callable[[], None] = lambda: None,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self.what = what
        self.do = do
        self.undo = undo
        self.is_needed = is_needed


def put_back(machine: Machine, path: str, before: Kept | None) -> None:
    """Leave at `path` what was there before, which was no directory."""
    if before is None:
        machine.remove(path)
    elif before.target is not None:
        machine.link(path, before.target)
    elif before.content is not None:
        machine.write(path, before)
