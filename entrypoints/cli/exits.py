"""What the program ends with, and what to do next, by what went wrong."""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus
from typing import Final

from adapters.api_client.errors import Misunderstood, Refused, Unreachable
from domain.errors import Conflict, InstaDeployError, InvalidInput, NotFound, StorageUnavailable


class ExitCode(IntEnum):
    """For scripts; docs/cli.md has them, and none ever changes its meaning."""

    OK = 0
    FAILED = 1
    """The job, or that of some host, has not succeeded; or the program itself is at fault."""
    USAGE = 2
    UNREACHABLE = 3
    """No answer, or none that can be used: it cannot be said what became of the request."""
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INVALID = 7
    """A value breaks a rule, here or there; nothing was done."""
    GOES_ON = 8
    """Accepted, and not over within `--timeout`; it goes on."""
    INTERRUPTED = 130


NOT_LOGGED_IN: Final = "not_logged_in"
_CONTEXTS: Final = "See: instadeploy context list"

_OF_STATUS: Final[dict[int, ExitCode]] = {
    HTTPStatus.UNAUTHORIZED: ExitCode.NOT_ALLOWED,
    HTTPStatus.FORBIDDEN: ExitCode.NOT_ALLOWED,
    HTTPStatus.NOT_FOUND: ExitCode.NOT_FOUND,
    HTTPStatus.CONFLICT: ExitCode.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: ExitCode.NOT_ALLOWED,
}


class NotLoggedIn(InstaDeployError):
    """There is no control plane, or no token for it, to be used."""

    code = NOT_LOGGED_IN


class Failed(InstaDeployError):
    """A question's job did not succeed; `reason` is the agent's word for machines."""

    code = "failed"

    def __init__(self, what: str, reason: str = "") -> None:
        super().__init__(what)
        self.reason = reason


class NotOver(InstaDeployError):
    """A question was not answered within `--timeout`."""

    code = "not_over"


class WrongUsage(InstaDeployError):
    """The command line says something that cannot be meant."""

    code = "usage"


def exit_code_of(error: InstaDeployError) -> ExitCode:
    """What the program ends with after an error."""
    match error:
        case Refused():
            return _of_refusal(error.status)
        case Unreachable() | Misunderstood():
            return ExitCode.UNREACHABLE
        case NotLoggedIn():
            return ExitCode.NOT_ALLOWED
        case WrongUsage():
            return ExitCode.USAGE
        case NotOver():
            return ExitCode.GOES_ON
        case NotFound():
            return ExitCode.NOT_FOUND
        case Conflict():
            return ExitCode.CONFLICT
        case InvalidInput() | StorageUnavailable():
            return ExitCode.INVALID
        case _:
            # What cannot be collected says the same by its code; its module takes long to import.
            return ExitCode.INVALID if error.code == InvalidInput.code else ExitCode.FAILED


def _of_refusal(status: int) -> ExitCode:
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    is_ours = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return ExitCode.INVALID if is_ours else ExitCode.UNREACHABLE


def code_of(error: InstaDeployError) -> str:
    """The stable word for an error, as JSON has it."""
    match error:
        case Refused():
            return error.problem
        case Failed() if error.reason:
            return error.reason
        case _:
            return error.code


def hint_of(error: InstaDeployError, url: str) -> str:
    """What to do next; empty where there is nothing to say. `url` is of the control plane, if known.

    A command that knows more than the error has given it a note.
    """
    if notes := getattr(error, "__notes__", None):
        return "; ".join(notes)
    match error:
        case Unreachable():
            return f"does the control plane run, and is {url or 'its URL'} right? {_CONTEXTS}"
        case Misunderstood():
            return f"is {url or 'its URL'} right? {_CONTEXTS}"
        case Refused():
            return _hint_of_refusal(error, url)
        case _:
            return ""


def _hint_of_refusal(error: Refused, url: str) -> str:
    match error.status:
        case HTTPStatus.UNAUTHORIZED if error.problem == "wrong_code":
            return "the code is in what the control plane printed when it was started"
        case HTTPStatus.UNAUTHORIZED:
            return f"log in again: instadeploy login {url}".rstrip()
        case HTTPStatus.FORBIDDEN:
            return "`instadeploy whoami` shows what you may do; an administrator can grant more"
        case HTTPStatus.NOT_FOUND:
            return "what you may not see is not found either: instadeploy hosts list, instadeploy whoami"
        case HTTPStatus.TOO_MANY_REQUESTS if error.retry_after_s:
            return f"try again in {error.retry_after_s:.0f} s"
        case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.INSUFFICIENT_STORAGE:
            return "try again in a moment; the control plane's log says more"
        case HTTPStatus.INTERNAL_SERVER_ERROR:
            return "the control plane's log says what it is"
        case _:
            return ""
