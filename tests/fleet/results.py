"""What simulated agents say at the end of a job (docs/protocol.md, What success says). Pure."""

from __future__ import annotations

from typing import Any, Final

from tests.fleet.memory import KeptJob
from tests.fleet.plane_frames import Message
from tests.fleet.printing import STEP, sha256_of

_DIGEST: Final = "0" * 64
_DONE: Final = {
    "DEPLOY_COMPOSE": "Project '{}' deployed successfully.\n\nOutput:\n",
    "ROLLBACK_COMPOSE": "Project '{}' went back to revision 1.\n\nOutput:\n",
    "RESTART_COMPOSE": "Project '{}' restarted successfully.\n\nOutput:\n",
    "STOP_COMPOSE": "Project '{}' stopped successfully.\n\nOutput:\n",
    "REMOVE_COMPOSE": "Project '{}' removed; its volumes stay.\n\nOutput:\n",
    "HEALTH_CHECK": "Agent is healthy and operational",
}


def success(job: KeptJob, *, is_text: bool = True) -> Message:
    """The final response of a job that succeeded."""
    logs = _DONE.get(job.kind, "{}").format(job.project)
    result = _final(job, "succeeded", logs, is_text=is_text)
    return result | {"data": _data(job)}


def failure(job: KeptJob, state: str, reason: str, *, is_text: bool = True, **data: Any) -> Message:
    """The final response of one that did not; `state` is one that is over."""
    result = _final(job, state, "", is_text=is_text)
    return result | {"error": f"it ended: {reason}", "data": {"reason": reason, **data}}


def plain(result: Message) -> Message:
    """The same as protocol v1 has it."""
    told = {name: result[name] for name in ("job_id", "status", "logs")}
    return told | {name: result[name] for name in ("error", "data") if name in result}


def _final(job: KeptJob, state: str, logs: str, *, is_text: bool) -> Message:
    return {
        "type": "RESPONSE",
        "job_id": job.job_id,
        "status": "COMPLETED" if state == "succeeded" else "FAILED",
        "state": state,
        "logs": logs,
        "final": True,
        "output": [_output(job, state, is_text=is_text)] if job.was_begun and job.changes else [],
    }


def _output(job: KeptJob, state: str, *, is_text: bool) -> Message:
    return {
        "step": STEP,
        "attempt": 1,
        "exit_code": 0 if state == "succeeded" else 1,
        "length": job.printed,
        "sha256": sha256_of(job.job_id, job.printed, is_text=is_text),
        "truncated": False,
    }


def _data(job: KeptJob) -> Message:
    if job.changes:
        data: Message = {"steps": [{"step": STEP, "state": "ok", "seconds": 0.001}]}
        if job.kind in ("DEPLOY_COMPOSE", "ROLLBACK_COMPOSE"):
            data |= {"revision": 1, "digest": _DIGEST}
        return data | ({"volumes_removed": False} if job.kind == "REMOVE_COMPOSE" else {})
    if job.kind == "HEALTH_CHECK":
        return {
            "version": "1.0.0",
            "architecture": "linux-amd64",
            "uptime_s": 1.0,
            "engine": {"reachable": True, "version": "20.10.24", "api_version": "1.41"},
        }
    if job.kind == "LIST_PROJECTS":
        return {"projects": [], "others": [], "engine": {"reachable": True}}
    return {"project_name": job.project, "exists": False, "services": []}
