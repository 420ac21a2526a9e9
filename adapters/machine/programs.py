"""Running the machine's own programs, such as systemctl. Blocking; no shell, no wait without an end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Final

from domain.errors import RuntimeUnavailable

USUAL_S: Final = 60.0
LONGEST_SAID: Final = 1000
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def output_of(
    *command: str,
    timeout_s: float = USUAL_S,
    more: Mapping[str, str] | None = None,
    allowed: tuple[int, ...] = (0,),
) -> str:
    """What a program prints. Raises `RuntimeUnavailable`, in its words, for another exit code."""
    environment = {"PATH": PATH, "LC_ALL": "C", "HOME": os.environ.get("HOME", "/"), **(more or {})}
    name = os.path.basename(command[0])  # noqa: PTH119 - a name, and no file
    try:
        ran = subprocess.run(  # noqa: S603 - an argument list of ours
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise RuntimeUnavailable(f"{name} is not there: install it") from None
    except OSError as exc:
        raise RuntimeUnavailable(f"{name} cannot be run: {exc.strerror}") from exc
    except subprocess.TimeoutExpired:
        raise RuntimeUnavailable(f"{name} did not end within {timeout_s:.0f} s") from None
    if ran.returncode not in allowed:
        said = (ran.stderr or ran.stdout).decode("utf-8", "replace").strip()[-LONGEST_SAID:]
        raise RuntimeUnavailable(f"{name} failed ({ran.returncode}): {said or 'without a word'}")
    return ran.stdout.decode("utf-8", "replace")
