"""Log records for systemd's journal: with a priority and fields, over its native protocol.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram an entry, `NAME=value` a line, or where the value
has line breaks, the name alone, the value's length in 8 bytes, and the value.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from application.log_context import log_fields

SOCKET: Final = "/run/systemd/journal/socket"
STREAM_VARIABLE: Final = "JOURNAL_STREAM"
LONGEST_FIELD: Final = 48 * 1024
"""Of a field, so much is sent: a datagram that is too large would have to go another way."""
PREFIX: Final = "INSTADEPLOY_"

_PRIORITIES: Final = (
    (logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6),
)  # fmt: skip
"""syslog(3)'s numbers."""
_DEBUG: Final = 7


def is_journal(environment: Mapping[str, str], stream: IO[Any]) -> bool:
    """Whether what is written there goes to the journal: sd_journal_stream_fd(3) says how to know."""
    try:
        device, inode = (int(part) for part in environment[STREAM_VARIABLE].split(":"))
        found = os.fstat(stream.fileno())
    except (KeyError, ValueError, OSError):
        return False
    return (found.st_dev, found.st_ino) == (device, inode)


class JournalHandler(logging.Handler):
    """Sends entries to the journal; where that cannot be done, `otherwise` gets them."""

    def __init__(self, identifier: str, otherwise: logging.Handler, address: str = SOCKET) -> None:
        super().__init__()
        self._identifier = identifier
        self._otherwise = otherwise
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry."""
        try:
            self._socket.sendto(entry_of(self._fields(record)), self._address)
        except OSError:
            self._otherwise.handle(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)

    def close(self) -> None:
        """Send nothing more."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterable[tuple[str, str]]:
        yield "MESSAGE", self.format(record)
        yield "PRIORITY", str(_priority(record.levelno))
        yield "SYSLOG_IDENTIFIER", self._identifier
        yield "CODE_FILE", record.pathname
        yield "CODE_LINE", str(record.lineno)
        yield "CODE_FUNC", record.funcName or ""
        yield "LOGGER", record.name
        for name, text in log_fields().items():
            yield PREFIX + name.upper(), text


def entry_of(fields: Iterable[tuple[str, str]]) -> bytes:
    """The datagram; whatever a value holds, it is that field's value and nothing else."""
    entry = bytearray()
    for name, text in fields:
        value = text.encode("utf-8", "backslashreplace")[:LONGEST_FIELD]
        entry += name.encode("ascii")
        if b"\n" in value:
            entry += b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
        else:
            entry += b"=" + value + b"\n"
    return bytes(entry)


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)
