"""Commands as the control plane sends them, around a payload that is JSON already.

A payload may have megabytes, and was checked when it was taken in: it is not read again, and not
written again.
"""

from __future__ import annotations

import json
from typing import Literal

from application.ports.agent_link import CommandFrame


def encode_command(frame: CommandFrame, protocol: Literal[1, 2]) -> bytes:
    """The message, as ASCII."""
    head: dict[str, object] = {"id": frame.job_id, "type": frame.kind}
    payload = frame.payload
    if protocol != 1:
        said = {
            "seq": frame.seq,
            "generation": frame.generation,
            "deadline_s": frame.deadline_s,
            "ack": frame.ack,
        }
        head |= {name: value for name, value in said.items() if value is not None}
    elif frame.deadline_s is not None:
        payload = _with_deadline(payload, frame.deadline_s)
    return b'%s, "payload": %s}' % (json.dumps(head)[:-1].encode("ascii"), payload)


def _with_deadline(payload: bytes, deadline_s: float) -> bytes:
    """The payload with what only v1 says there."""
    deadline = b'"deadline_s": %s' % json.dumps(deadline_s).encode("ascii")
    rest = payload.strip()[1:].lstrip()
    return b"{%s%s%s" % (deadline, b"" if rest == b"}" else b", ", rest)
