"""Protocol v1: what an agent says, from the frames that carry it.

Agents of others speak v1 too: what can be understood is, though `logs`, `error` or `data` be
missing or null.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.wire.codec import MAX_DEPTH
from adapters.wire.fields import Fields
from adapters.wire.messages import Status
from adapters.wire.strict_json import object_in
from domain.errors import InvalidInput, RemoteProtocolViolation
from domain.events import Event, JobCompleted, JobFailed, JobReceived
from domain.link_messages import Unusable


def decode_answer(frame: bytes | str) -> Event | Unusable:
    """What an agent says in one frame."""
    try:
        fields = Fields(object_in(frame, max_depth=MAX_DEPTH))
        job_id = fields.job_id("job_id")
        status = fields.word("status", Status)
        logs = fields.given("logs", fields.text) or ""
        data: Mapping[str, object] = fields.given("data", fields.mapping) or {}
        match status:
            case Status.QUEUED | Status.IN_PROGRESS:
                return JobReceived(job_id)
            case Status.COMPLETED:
                return JobCompleted(job_id, logs, data)
            case Status.FAILED:
                return JobFailed(job_id, fields.given("error", fields.text) or "", logs, data)
    except (RemoteProtocolViolation, InvalidInput) as exc:
        return Unusable(exc)
