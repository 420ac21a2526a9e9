"""Runs one `docker compose` to its end, and outlives whoever started it.

It starts in milliseconds, so it imports nothing of the project and only what it needs: `_signal`,
because `signal` takes as long to import as all the rest; `hashlib` when the command is running.

The run's directory is its only link to the agent (`adapters/compose/run_directory.py` has the same
names of files). A run is claimed by renaming `unclaimed`: once, by this process or by an agent that
revokes it, and without space on the disk. Where the exit is written was allocated beforehand.
"""

import _signal  # type: ignore[import-not-found]
import fcntl
import os
import select
import sys
import time

EXIT_BYTES, READ_BYTES = 512, 64 * 1024
DRAIN_S = 1.0  # How long a descendant may hold the output open after the command has ended.
SWEEP_S = 5.0  # What was killed and is not gone by then hangs in the kernel and does nothing more.
LOCK_RETRY_S = 0.05


def main() -> None:
    """Run what the arguments say: six of our own, `--`, and the command's."""
    directory, lock, deadline_s, grace_s, head, tail, _, *command = sys.argv[1:]
    run = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    # Whatever may fail comes before the claim: until then the agent hears of it.
    lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    output = Output(run, int(head), int(tail))
    step = Step(run, float(deadline_s), float(grace_s))
    if not step.claim():
        return  # Revoked: whoever did that counts on nothing being started.
    may_begin, begun = step.may_begin(lock_fd), time.monotonic()
    exit_code = step.carry_out(command, output) if may_begin else -_signal.SIGTERM
    from hashlib import sha256  # noqa: PLC0415

    ending = {"exit_code": exit_code, "ended_by": step.ended_by, **output.finish()}
    ending["seconds"] = round(time.monotonic() - begun, 3)
    record = os.open("exit.new", os.O_WRONLY | os.O_NOFOLLOW, dir_fd=run)
    text = str(ending).replace("'", '"').encode()  # JSON: no value holds a quote.
    digest = f"{sha256(text).hexdigest()}\n".encode()
    os.pwrite(record, text.ljust(EXIT_BYTES - len(digest)) + digest, 0)
    os.fdatasync(record)
    os.rename("exit.new", "exit", src_dir_fd=run, dst_dir_fd=run)
    os.fsync(run)


class Step:
    """The command and all that descends from it."""

    def __init__(self, run: int, deadline_s: float, grace_s: float) -> None:
        self.ended_by = ""
        self._run, self._grace_s, self._ends_at = run, grace_s, time.monotonic() + deadline_s
        self._me, self._since = os.getpid(), int(stat_of(os.getpid())[19])
        # As it was at the start: Python may have added a variable of its own since.
        given = [line for line in read("/proc/self/environ").split(b"\0") if b"=" in line]
        self._environment = dict(line.split(b"=", 1) for line in given)
        self._mark = b"INSTADEPLOY_RUN=" + self._environment[b"INSTADEPLOY_RUN"]
        self._told, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.set_wakeup_fd(told)
        _signal.signal(_signal.SIGTERM, lambda *_: None)
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)

    def claim(self) -> bool:
        """Durably make the run this process's, and show it to the agent by closing the output."""
        boot = read("/proc/sys/kernel/random/boot_id").decode().strip()
        name = f"claim.{self._me}.{self._since}.{boot}"
        try:
            os.rename("unclaimed", name, src_dir_fd=self._run, dst_dir_fd=self._run)
        except FileNotFoundError:
            return False
        os.fsync(self._run)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        return True

    def may_begin(self, lock: int) -> bool:
        """Wait for the project's lock, to hold it until this process ends; False is no."""
        while not self._has_to_end():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                ready([self._told], time.monotonic() + LOCK_RETRY_S)
            else:
                return True
        return False

    def carry_out(self, command: list[str], output: "Output") -> int:
        """Run it; when this returns, no process of it is left."""
        reader, writer = os.pipe()
        files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        files += [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]  # type: ignore[list-item]
        reset = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ)
        environment = self._environment
        try:
            pid = os.posix_spawn(
                command[0], command, environment, file_actions=files, setpgroup=0, setsigdef=reset
            )
        except OSError as exc:
            output.take(f"{command[0]}: {exc.strerror}\n".encode())
            return 127 if isinstance(exc, FileNotFoundError) else 126
        os.close(writer)
        try:
            self._pump(pid, reader, output)
        finally:
            self._sweep()
        drain(reader, output)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _pump(self, pid: int, reader: int, output: "Output") -> None:
        """Return when the command has ended, and its output too or it had its time to."""
        output.take(b"")
        pidfd = os.pidfd_open(pid)
        watched, due = [pidfd, reader, self._told], self._ends_at
        while pidfd not in (events := ready(watched, due)):
            if reader in events and not output.take(os.read(reader, READ_BYTES)):
                watched.remove(reader)
            if self.ended_by and time.monotonic() >= due:
                due = float("inf")
                self._sweep()
            elif not self.ended_by and self._has_to_end():
                due = time.monotonic() + self._grace_s
                watched.remove(self._told)
                os.killpg(pid, _signal.SIGTERM)
        # It is not reaped before its group is gone, so that its number is its own. If the docker
        # program alone was killed, its plugin would go on by itself: it is given no time to.
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        if ended and ended.si_code == os.CLD_EXITED:
            drain(reader, output)

    def _has_to_end(self) -> bool:
        if ready([self._told], 0):
            # Filled up with zeros; nothing else where it was not the agent who sent the signal.
            why = read(f"/proc/self/fd/{self._run}/end").decode("ascii", "replace").strip("\0")
            self.ended_by = why if why.isidentifier() else "signal"
        elif time.monotonic() >= self._ends_at:
            self.ended_by = "deadline"
        return bool(self.ended_by)

    def _sweep(self) -> None:
        """End whoever is in this session, or has left it and still carries the mark."""
        gone_by = time.monotonic() + SWEEP_S
        while [pid for pid in os.listdir("/proc") if self._ends(pid)]:  # noqa: PTH208
            if time.monotonic() >= gone_by:
                return
            time.sleep(0.002)

    def _ends(self, pid: str) -> bool:
        try:
            stat = stat_of(int(pid))
            if int(pid) == self._me or stat[0] in b"ZX" or int(stat[19]) < self._since:
                return False
            if int(stat[3]) != self._me and self._mark not in read(f"/proc/{pid}/environ"):
                return False
            os.kill(int(pid), _signal.SIGKILL)
        except (OSError, ValueError):  # It is gone, or no process at all.
            return False
        return True


class Output:
    """Keeps what was printed first and last, and counts all of it."""

    def __init__(self, run: int, head_bytes: int, tail_bytes: int) -> None:
        self._head = os.open("output", os.O_WRONLY | os.O_NOFOLLOW, dir_fd=run)
        self._tail_file = os.open("tail", os.O_WRONLY | os.O_NOFOLLOW, dir_fd=run)
        self._room, self._tail_bytes, self._tail = head_bytes, tail_bytes, bytearray()
        self._total = self._head_bytes = 0

    def take(self, chunk: bytes) -> bytes:
        """Give the chunk back. A disk that fails must not end the command: this fails never."""
        if not self._total:
            from hashlib import sha256  # noqa: PLC0415

            self._digest = sha256()
        self._digest.update(chunk)
        self._total += len(chunk)
        written = keep(self._head, chunk[: self._room], self._head_bytes)
        self._head_bytes += written
        # Once something could not be written, all that comes is kept as the last.
        self._room = self._room - written if written == len(chunk[: self._room]) else 0
        self._tail += chunk[written:]
        if len(self._tail) > 2 * self._tail_bytes:
            del self._tail[: -self._tail_bytes]
        return chunk

    def finish(self) -> dict[str, float | str]:
        """Make durable what there is room for, and say what that is."""
        self.take(b"")
        tail = bytes(self._tail[-self._tail_bytes :])
        allocated = os.fstat(self._tail_file).st_size  # There is room for that on a full disk, too.
        if keep(self._tail_file, tail, 0) < len(tail):
            tail = tail[-allocated:]
            tail = tail if keep(self._tail_file, tail, 0) == len(tail) else b""
        for fd in (self._head, self._tail_file):
            try:
                os.fdatasync(fd)
            except OSError:
                continue
        return {
            "output_bytes": self._total,
            "output_sha256": self._digest.hexdigest(),
            "head_bytes": self._head_bytes,
            "tail_bytes": len(tail),
        }


def keep(fd: int, content: bytes, offset: int) -> int:
    """Write there what there is room for; gives its length."""
    done = 0
    try:
        while done < len(content):
            done += os.pwrite(fd, content[done:], offset + done)
    except OSError:
        return done
    return done


def drain(reader: int, output: Output) -> None:
    """Read to the end, which must come soon."""
    until = time.monotonic() + DRAIN_S
    while time.monotonic() < until and ready([reader], until):
        if not output.take(os.read(reader, READ_BYTES)):
            return


def ready(watched: list[int], due: float) -> list[int]:
    """Those that can be read, as soon as one can or it is time."""
    events = select.poll()
    for fd in watched:
        events.register(fd, select.POLLIN)
    pause = None if due == float("inf") else max(0.0, due - time.monotonic()) * 1000
    return [fd for fd, _ in events.poll(pause)]


def read(path: str) -> bytes:
    """A small file's content."""
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def stat_of(pid: int) -> list[bytes]:
    """Fields 3 and on of /proc/<pid>/stat; the second one may hold anything."""
    return read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


if __name__ == "__main__":
    main()
    os._exit(0)  # Taking the interpreter apart would take as long as everything else.
