"""Values that tests need and whose details do not matter to them."""

from __future__ import annotations

import base64
import json

from domain.commands import CheckHealth, Command, DeployCompose, GetStatus, StopCompose
from domain.job import JobId
from domain.messages import Request
from domain.project import ComposeFile, ProjectName

IMAGE = "instadeploy-demo:local"


def compose_content(service: str = "web", *, command: str = '["sleep", "3600"]') -> bytes:
    """A compose file of one service that runs until it is stopped, and then stops at once."""
    return (
        "services:\n"
        f"  {service}:\n"
        f"    image: {IMAGE}\n"
        f"    command: {command}\n"
        "    init: true\n"
        "    stop_grace_period: 0s\n"
        "    network_mode: none\n"
    ).encode()


REJECTED_CONTENT = b'services:\n  web:\n    command: ["true"]\n'
"""YAML that is well-formed, and that Compose rejects: its service has no image."""


def deploy(name: str = "blog", content: bytes | None = None) -> DeployCompose:
    """A deployment of a project."""
    return DeployCompose(ProjectName(name), ComposeFile(content or compose_content()))


def stop(name: str = "blog") -> StopCompose:
    """The end of a project."""
    return StopCompose(ProjectName(name))


def status(name: str = "blog") -> GetStatus:
    """A question about a project."""
    return GetStatus(ProjectName(name))


def request(job_id: str, command: Command | None = None) -> Request:
    """A command as it comes from the wire; HEALTH_CHECK where it does not matter which."""
    return Request(JobId(job_id), command or CheckHealth())


def frame(job_id: object, command_type: object, **payload: object) -> str:
    """A command as a control plane sends it."""
    return json.dumps({"id": job_id, "type": command_type, "payload": payload})


def deploy_frame(job_id: str, name: str = "blog", content: bytes | None = None) -> str:
    """A DEPLOY_COMPOSE as a control plane sends it."""
    encoded = base64.b64encode(content or compose_content()).decode("ascii")
    return frame(job_id, "DEPLOY_COMPOSE", project_name=name, compose_file_base64=encoded)
