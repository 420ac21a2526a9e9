"""How the log says which job it speaks of, and which jobs are worth a line."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from application.log_context import log_about
from domain.commands import CHANGING_COMMANDS, project_of
from domain.job import Job


def about(job: Job) -> AbstractContextManager[None]:
    """Whatever is logged meanwhile is about that job."""
    project = project_of(job.command)
    return log_about(
        job_id=job.job_id.value,
        project="" if project is None else project.value,
        command=type(job.command).__name__,
    )


def log_news(logger: logging.Logger, job: Job, text: str, *values: str) -> None:
    """Reads may come by the thousand, and what changes nothing is no news."""
    is_news = isinstance(job.command, CHANGING_COMMANDS)
    logger.log(logging.INFO if is_news else logging.DEBUG, text, *values)
