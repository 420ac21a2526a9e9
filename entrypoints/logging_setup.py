"""How the programs' log lines look: one record, one line, whatever a record holds."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Final, Literal

from application.log_context import log_fields
from entrypoints.journald import JournalHandler, is_journal

LogFormat = Literal["auto", "text", "json"]
"""`auto` is entries of systemd's journal where standard error goes there, and text elsewhere."""

_ESCAPES: Final = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x09: "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO name: message`, with control characters shown, never acted on.

    An id or a name with a line break in it can therefore not forge a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is folded into it."""
        line = f"{_timestamp(record)} {record.levelname} {record.name}: {self._text(record)}"
        return line.translate(_ESCAPES)

    def _text(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class MessageFormatter(TextFormatter):
    """The message alone, in one line as well: the journal knows the rest, and shows it itself."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return self._text(record).translate(_ESCAPES)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """`time`, `level`, `logger`, `message`; what it is about, and `exception`, where there is one."""
        entry = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **log_fields(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def configure_logging(program: str, level: str, form: LogFormat) -> None:
    """Send everything at `level` and above to stderr; debug stays ours, libraries say warnings."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if form == "auto" and is_journal(os.environ, sys.stderr):
        handler = JournalHandler(program, otherwise=handler)
        handler.setFormatter(MessageFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for layer in ("domain", "application", "adapters", "entrypoints"):
        logging.getLogger(layer).setLevel(level.upper())


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
