"""What agents tell, in the tests of commands."""

from __future__ import annotations

from typing import Any

from adapters.api_client.documents import Job, Result
from tests.unit.cli.world import NOW, Ending, result

REVISION: dict[str, Any] = {
    "revision": 3, "digest": "ab", "state": "good", "job_id": "job_9", "created_at": NOW,
    "requested_by": "ann", "labels": {"commit": "4ca"}, "error": "",
    "images": [{"service": "web", "reference": "nginx", "image_id": "sha256:1", "repo_digest": ""}],
}  # fmt: skip
STATUS: dict[str, Any] = {
    "project_name": "blog",
    "exists": True,
    "wanted": REVISION,
    "journal": {"job_id": "job_9", "state": "succeeded", "error": "", "finished_at": NOW},
    "engine": [
        {"service": "web", "container": "blog-web-1", "state": "running", "status": "Up",
         "health": "healthy", "exit_code": None, "restart_count": 0, "started_at": NOW,
         "image": "nginx", "image_id": "sha256:2"},
    ],
    "drift": [{"kind": "image", "service": "web", "container": "blog-web-1", "message": "another image"}],
}  # fmt: skip
PLAN: dict[str, Any] = {
    "project_name": "blog",
    "services": [
        {"service": "web", "action": "create", "why": ""},
        {"service": "db", "action": "recreate", "why": "another image"},
        {"service": "old", "action": "remove", "why": ""},
        {"service": "cache", "action": "keep", "why": ""},
    ],
    "pull": ["nginx:1.27"], "build": ["api"], "networks": ["blog_default"], "volumes": ["blog_data"],
    "warnings": ["version is obsolete"],
    "policy": {"allowed": True},
}  # fmt: skip
REFUSED: dict[str, Any] = PLAN | {
    "policy": {
        "allowed": False,
        "violations": [
            {"rule": "privileged", "service": "web", "where": "services.web.privileged", "line": 3,
             "allowed_by": "privileged = true", "message": "web is privileged (line 3)"},
        ],
    }
}  # fmt: skip


def ends(state: str = "succeeded", error: str = "", **data: Any) -> Ending:
    def ending(job: Job) -> tuple[str, Result]:
        return state, result(error, "logs of it", **data)

    return ending
