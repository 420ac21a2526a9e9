"""What is asked of `web-1` beside deployments, and what its agent says to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from application.control_plane.access import ADMINISTRATOR
from domain.commands import (
    CheckHealth,
    Command,
    GetStatus,
    ListProjects,
    ListRevisions,
    PlanCompose,
    RemoveCompose,
    RestartCompose,
    RollbackCompose,
    StopCompose,
)
from domain.fleet.job import FleetJob
from domain.identity import fingerprint_of
from domain.services import PublishedPort, ServiceContainer, describe_services
from entrypoints.control_plane.rest.examples.deployments import FIRST, FIRST_OVER, NEW_DEPLOYMENT
from entrypoints.control_plane.rest.examples.fleet import CONTROL_PLANE_KEY, WEB_1, at
from entrypoints.control_plane.rest.examples.jobs import (
    BLOG,
    JUDGED,
    LOOKED,
    POLICY,
    End,
    Step,
    answered,
    changed,
    compose,
    job_of,
    sha256_of,
)
from entrypoints.control_plane.rest.requests import (
    COMPOSE,
    Content,
    Removal,
    Restart,
    Rollback,
    Waiting,
)
from entrypoints.version import VERSION


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's body, the job that it becomes at once, and the end of that."""

    body: Waiting
    job: FleetJob
    end: End


def _asked(minutes: float, command: Command, body: Waiting, end: End) -> Asked:
    return Asked(body, job_of(command, body, at(minutes)), end)


_IMAGE_ID: Final = f"sha256:{sha256_of('nginx:1.27')}"
_REVISION: Final = {
    "revision": 1,
    "digest": FIRST.deployment.digest,
    "state": "good",
    "job_id": FIRST_OVER.id,
    "created_at": at(0.06),
    "requested_by": ADMINISTRATOR.value,
    "labels": NEW_DEPLOYMENT.options.labels,
    "error": "",
    "images": [
        {
            "service": "web",
            "reference": "nginx:1.27",
            "image_id": _IMAGE_ID,
            "repo_digest": f"nginx@{_IMAGE_ID}",
        }
    ],
}
_LAST_JOB: Final = {
    "job_id": FIRST_OVER.id,
    "state": "succeeded",
    "error": "",
    "finished_at": FIRST_OVER.finished_at,
}
_CONTAINER: Final = ServiceContainer(
    "web",
    "blog-web-1",
    "running",
    "",
    "nginx:1.27",
    (PublishedPort("127.0.0.1", 8080, 80, "tcp"),),
    None,
)

_STATUS: Final = answered(
    describe_services(BLOG, [_CONTAINER]),
    project_name=BLOG.value,
    exists=True,
    services=[asdict(_CONTAINER)],
    wanted=_REVISION,
    journal=_LAST_JOB,
    engine=[
        {
            "service": "web",
            "container": "blog-web-1",
            "state": "running",
            "status": "Up 9 minutes",
            "health": "none",
            "exit_code": None,
            "restart_count": 0,
            "started_at": at(0.075),
            "image": "nginx:1.27",
            "image_id": _IMAGE_ID,
        }
    ],
    drift=[],
)
_REVISIONS: Final = answered(
    f"Revisions of project '{BLOG}': 1.\n*    1  good  {FIRST.deployment.digest[:12]}",
    project_name=BLOG.value,
    current=1,
    revisions=[_REVISION],
)
_PROJECTS: Final = answered(
    f"Projects on this host: 1.\n  {BLOG}  1 of 1 containers running",
    projects=[
        {
            "project_name": BLOG.value,
            "wanted": _REVISION,
            "journal": _LAST_JOB,
            "containers": {"total": 1, "running": 1},
        }
    ],
    others=[],
    engine={"reachable": True},
)
_CHECKED_AT: Final = datetime.fromtimestamp(at(13), UTC).isoformat()
_HEALTH: Final = answered(
    "Agent is healthy and operational",
    version=VERSION,
    architecture="linux-amd64",
    hostname="web-1",
    uptime_s=2460.125,
    host_uptime_s=86512.44,
    engine={
        "reachable": True,
        "version": "29.1.3",
        "api_version": "1.52",
        "checked_at": _CHECKED_AT,
    },
    compose={"available": True, "version": "2.40.3", "checked_at": _CHECKED_AT},
    identity={
        "proof": "key",
        "fingerprint": fingerprint_of(WEB_1.public_key),
        "host_id": WEB_1.id,
        "control_plane": CONTROL_PLANE_KEY,
    },
    policy={"name": POLICY.name, "digest": POLICY.digest, "warnings": list(POLICY.warnings())},
    journal={"intact": True, "open_jobs": 0},
)
_WHY: Final = "service 'web': blog-web-1 was made from another configuration than the wanted one"
_PLAN: Final = answered(
    f"What a deployment of project '{BLOG}' would do:\n  recreate  web  {_WHY}\n"
    "  pull      nginx:1.28",
    project_name=BLOG.value,
    services=[{"service": "web", "action": "recreate", "why": _WHY}],
    pull=["nginx:1.28"],
    build=[],
    networks=[],
    volumes=[],
    policy={"allowed": True},
    warnings=[],
)
_WENT_BACK: Final = changed(
    "went back to revision 1",
    *JUDGED,
    compose(
        "apply revision 1",
        1.434,
        "Container blog-web-1  Recreate",
        "Container blog-web-1  Recreated",
        "Container blog-web-1  Starting",
        "Container blog-web-1  Started",
    ),
    *LOOKED,
    revision=1,
    digest=FIRST.deployment.digest,
)
_RESTARTED: Final = changed(
    "restarted successfully",
    *JUDGED,
    compose("restart", 1.341, "Container blog-web-1  Restarting", "Container blog-web-1  Started"),
    *LOOKED,
)
_STOPPED: Final = changed(
    "stopped successfully",
    compose(
        "remove",
        0.412,
        "Container blog-web-1  Stopping",
        "Container blog-web-1  Stopped",
        "Container blog-web-1  Removing",
        "Container blog-web-1  Removed",
        "Network blog_default  Removing",
        "Network blog_default  Removed",
    ),
)
_REMOVED: Final = changed(
    "removed; its volumes stay",
    Step(
        "take off",
        0.198,
        f'Warning: No resource found to remove for project "{BLOG}".\n',
        is_compose=True,
    ),
    volumes_removed=False,
)

_PLANNED: Final = Content(compose=COMPOSE, env={"TAG": "1.28"})
_SOON: Final = Waiting(ttl_s=30)

ASKED: Final[Mapping[str, Asked]] = {
    "ask_project_status": _asked(10, GetStatus(BLOG), _SOON, _STATUS),
    "ask_project_revisions": _asked(11, ListRevisions(BLOG), _SOON, _REVISIONS),
    "ask_host_projects": _asked(12, ListProjects(), _SOON, _PROJECTS),
    "ask_host_health": _asked(13, CheckHealth(), _SOON, _HEALTH),
    "plan_project": _asked(20, PlanCompose(_PLANNED.deployment_of(BLOG)), _PLANNED, _PLAN),
    "roll_project_back": _asked(
        40, RollbackCompose(BLOG, 1), Rollback(revision=1, deadline_s=600), _WENT_BACK
    ),
    "restart_project": _asked(
        50, RestartCompose(BLOG, ("web",)), Restart(services=["web"]), _RESTARTED
    ),
    "stop_project": _asked(60, StopCompose(BLOG), Waiting(ttl_s=3600, deadline_s=600), _STOPPED),
    "remove_project": _asked(70, RemoveCompose(BLOG), Removal(volumes=False), _REMOVED),
}
"""By the names of the operations; in the order in which it happens."""
