"""Where the job runner is, and what starts it."""

from __future__ import annotations

import sys
from pathlib import Path


def runner_command() -> tuple[str, ...]:
    """The beginning of the argument list that starts it, wherever the project is installed.

    As a file, since `-m` would need the project's place to be on the path. `-I` and `-S`: neither
    the environment nor anything that is installed has a say in what is imported, and looking for
    packages that it does not need would take longer than all it does. A running one does not need
    its file any more, nor the environment that it was started from.
    """
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("__main__.py")))
