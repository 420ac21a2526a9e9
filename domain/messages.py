"""What can arrive on a link, after the wire has been decoded: every case, so that none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from domain.commands import Command
from domain.errors import InstaDeployError
from domain.job import JobId


@dataclass(frozen=True, slots=True)
class Request:
    """A command that can be carried out."""

    job_id: JobId
    command: Command
    deadline_s: float | None = None
    """Seconds from its acceptance within which it has to be over."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A well-formed command whose type, payload or values break a rule."""

    job_id: str
    error: InstaDeployError


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A frame that is no command; `job_id` is its id where it could be read, or `unknown`."""

    job_id: str
    error: InstaDeployError


Message = Request | RefusedRequest | MalformedMessage
