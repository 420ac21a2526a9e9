"""A real terminal: a tmux server of the test's own, one shell in it, and a screen to look at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final, Self

from tests.integration.cli.rig import MODULE

PATIENCE_S: Final = 30.0
LOOK_AGAIN_S: Final = 0.5
"""What changes the screen without anything being printed, such as another size, is seen so soon."""
COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
CURSOR: Final = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlsu]|\x1b[78DEM]|\r(?!\n|\r)|\x08")
"""What moves the cursor, hides it, or clears something."""
PROMPT: Final = "$"
_SHELL: Final = ("bash", "--norc", "--noprofile", "--noediting")
_CONFIG: Final = """
set -g status off
set -g default-terminal screen-256color
set -g escape-time 0
set -g history-limit 5000
"""

Condition = Callable[[str], bool]


class Terminal:
    """What is typed goes to the shell; `printed` is all that the pane has got so far, as it came."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._socket = home / "tmux.sock"
        self._environment = dict(environment)
        self._reader = asyncio.StreamReader()
        self._changed = asyncio.Event()
        self._printed = b""
        self._listening: asyncio.Task[None] | None = None
        self._transport: asyncio.ReadTransport | None = None

    @property
    def printed(self) -> str:
        return self._printed.decode(errors="replace")

    async def open(self, columns: int, rows: int) -> Self:
        (self._home / "tmux.conf").write_text(_CONFIG)
        fifo = self._home / "printed"
        os.mkfifo(fifo)
        # Opened for writing too: it must not end before tmux begins to write.
        file = os.fdopen(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), "rb", 0)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), file
        )
        self._listening = asyncio.create_task(self._listen(), name="what the pane prints")
        await self._tmux(
            "-f", str(self._home / "tmux.conf"), "new-session", "-d", "-x", str(columns), "-y",
            str(rows), "env", f"PS1={PROMPT} ", *_SHELL,
        )  # fmt: skip
        await self._tmux("set-option", "-g", "window-size", "manual")
        await self._tmux("resize-window", "-x", str(columns), "-y", str(rows))
        await self._tmux("pipe-pane", "-O", f"exec cat > {shlex.quote(str(fifo))}")
        await self.shows(PROMPT)
        return self

    async def close(self) -> None:
        """End the server, which is this terminal's own, and with it all that runs in it."""
        with contextlib.suppress(AssertionError):
            await self._tmux("kill-server")
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._transport is not None:
            self._transport.close()

    async def press(self, *keys: str) -> None:
        """Keys by tmux's names, such as `C-c` and `Enter`."""
        await self._tmux("send-keys", *keys)

    async def type(self, text: str) -> None:
        """A line, and Enter."""
        await self._tmux("send-keys", "-l", text)
        await self.press("Enter")

    async def resize(self, columns: int, rows: int) -> None:
        await self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    async def screen(
        self, *, with_past: bool = False, with_escapes: bool = False, is_joined: bool = False
    ) -> str:
        """What can be seen, without spaces at the lines' ends and empty lines at its own.

        Where it `is_joined`, a line that the terminal has folded is one line, as it was written.
        """
        wanted = {"-S-": with_past, "-e": with_escapes, "-J": is_joined}
        options = [option for option, is_wanted in wanted.items() if is_wanted]
        text = await self._tmux("capture-pane", "-p", *options)
        return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")

    async def is_cursor_shown(self) -> bool:
        return (await self._tmux("display-message", "-p", "#{cursor_flag}")).strip() == "1"

    async def title(self) -> str:
        return (await self._tmux("display-message", "-p", "#{pane_title}")).strip()

    async def until(self, condition: Condition, what: str) -> str:
        """Wait for a screen of which this is true."""
        screen = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self._changed.clear()
                    screen = await self.screen()
                    if condition(screen):
                        return screen
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), LOOK_AGAIN_S)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}:\n{screen}") from None

    async def shows(self, *texts: str) -> str:
        return await self.until(lambda screen: all(text in screen for text in texts), repr(texts))

    async def ended(self, code: int = 0) -> str:
        """Wait until the command that was typed with `run` has ended; the screen then."""
        screen = await self.until(lambda screen: bool(_ENDED.search(screen)), "its end")
        found = _ENDED.search(screen)
        assert found
        assert int(found[1]) == code, screen
        return screen

    async def run(self, command: str) -> None:
        """Type a command on an empty screen; `ended` says when it is over."""
        (self._home / "command").write_text(f"clear\n{command}\n")
        await self.type("clear")
        await self.until(lambda screen: screen == PROMPT, "an empty screen")
        # What is typed is short, on however narrow a screen.
        self._printed = b""
        await self.type('. ./command; echo "<$?>"')

    async def output(self, command: str, code: int = 0) -> str:
        """Run a command to its end; what is on the screen of it, in the lines that it wrote."""
        await self.run(command)
        await self.ended(code)
        screen = await self.screen(is_joined=True)
        return _ENDED.split(screen)[0].rstrip("\n")

    async def does_echo(self) -> bool:
        """Whether the shell's terminal shows what is typed, and takes Ctrl-C for an interrupt."""
        settings = await self.output("stty -a")
        return bool(
            re.search(r"(?<!-)\becho\b", settings) and re.search(r"(?<!-)\bisig\b", settings)
        )

    async def _listen(self) -> None:
        while piece := await self._reader.read(65536):
            self._printed += piece
            self._changed.set()

    async def _tmux(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "tmux", "-u", "-S", str(self._socket), *arguments,
            cwd=self._home, env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, (arguments, err)
        return out.decode()


_ENDED: Final = re.compile(r"^.{0,2}<(\d+)>$", re.MULTILINE)


@contextlib.asynccontextmanager
async def terminal_of(
    home: Path, environment: Mapping[str, str], *, columns: int = 120, rows: int = 30
) -> AsyncIterator[Terminal]:
    """A terminal with `instadeploy` on its path, in a directory that is all its own."""
    programs = home / "bin"
    programs.mkdir()
    program = programs / "instadeploy"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *MODULE])} "$@"\n')
    program.chmod(0o755)
    terminal = Terminal(
        home,
        {
            **environment,
            "PATH": f"{programs}{os.pathsep}{environment['PATH']}",
            "LC_ALL": "C.UTF-8",
            "TERM": "screen-256color",
            "TMUX_TMPDIR": str(home),
        },
    )
    try:
        yield await terminal.open(columns, rows)
    finally:
        await terminal.close()
