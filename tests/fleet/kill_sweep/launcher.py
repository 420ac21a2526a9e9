"""`python -m tests.fleet.kill_sweep.launcher`: real control planes, which die where they are told to.

It has imported all of the program, which is most of what a start takes, and forks one for each line on
stdin; see `Nursery`. Nothing of the product knows: what is hung in is hung into the libraries under it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from entrypoints.control_plane.__main__ import main as program
from tests.fleet.kill_sweep import outlet
from tests.fleet.kill_sweep.commits import Commits
from tests.fleet.kill_sweep.orders import VARIABLE, Orders
from tests.fleet.kill_sweep.points import Points
from tests.fleet.kill_sweep.strikes import Strike

FAILED: Final = 1


def main() -> None:
    """One child after another: its process id is printed when it is there, its exit code when it ends.

    It is buried when the next one is born, so that its id is nobody else's for as long as it matters.
    Where stdin ends, whoever wanted it is gone, and so is it.
    """
    ended = 0
    while line := sys.stdin.readline():
        if ended:
            os.waitpid(ended, 0)
        birth = json.loads(line)
        ended = os.fork()
        if ended == 0:
            _live(**birth)
        _say(ended)
        _say(_end_of(ended))


def _end_of(pid: int) -> int:
    """Its exit code, once it has ended."""
    fd = os.pidfd_open(pid)
    try:
        if fd not in select.select([fd, sys.stdin], [], [])[0]:
            os.kill(
                pid, signal.SIGKILL
            )  # Nothing is said before it has ended: this is the end of stdin.
        end = os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)
    finally:
        os.close(fd)
    assert end is not None
    return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _live(home: str, environment: Mapping[str, str], log: str) -> None:
    """Be the control plane, and never return."""
    code = FAILED
    try:
        os.chdir(home)
        os.environ.clear()
        os.environ.update(environment)
        for path, flags, numbers in (
            (os.devnull, os.O_RDONLY, (0,)),
            (log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, (1, 2)),
        ):
            fd = os.open(path, flags, 0o600)
            for number in numbers:
                os.dup2(fd, number)
            os.close(fd)
        _obey(Orders.of(environment[VARIABLE]))
        code = program([])
    except BaseException:  # noqa: BLE001 - whatever it is, there is nobody above
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _obey(orders: Orders) -> None:
    points = Points(Path(orders.notes), Strike.named(orders.at) if orders.at else None)
    Commits(points, orders.late).install()
    outlet.install(points)
    for name, seconds in orders.seconds.items():
        module, _, constant = name.partition(":")
        home: Any = importlib.import_module(module)
        assert isinstance(getattr(home, constant), float), name
        setattr(home, constant, seconds)


if __name__ == "__main__":
    main()
