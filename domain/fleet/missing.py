"""What is said of what is not there, and in the same words of what somebody may not see."""

from __future__ import annotations

from typing import Final

from domain.errors import NotFound

LONGEST_SHOWN: Final = 80


def no_host(name_or_id: str) -> NotFound:
    """To be raised where there is no such host."""
    return _no("host", name_or_id)


def no_enrolment(enrolment_id: str) -> NotFound:
    """To be raised where there is no such enrolment."""
    return _no("enrolment", enrolment_id)


def no_job(job_id: str) -> NotFound:
    """To be raised where there is no such job."""
    return _no("job", job_id)


def no_deployment(deployment_id: str) -> NotFound:
    """To be raised where there is no such deployment."""
    return _no("deployment", deployment_id)


def no_user(name_or_id: str) -> NotFound:
    """To be raised where there is no such user."""
    return _no("user", name_or_id)


def no_token(token_id: str) -> NotFound:
    """To be raised where there is no such token."""
    return _no("token", token_id)


def _no(what: str, named: str) -> NotFound:
    return NotFound(f"there is no {what} {named[:LONGEST_SHOWN]!r}")
