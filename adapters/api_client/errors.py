"""What goes wrong between a client and the control plane.

    ApiFailure
    ├── Unreachable     no answer: nobody listens, TLS fails, it took too long
    ├── Misunderstood   an answer, and none of a control plane's API
    └── Refused         the control plane said no, and why

No token, body or header of a request is ever in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from domain.errors import InstaDeployError


class ApiFailure(InstaDeployError):
    """Root of what a client of the API raises. `code` is for machines; `str()` for people."""

    code = "api"


class Unreachable(ApiFailure):
    """No answer came. `is_certain` where nothing was sent: then nothing can have happened."""

    code = "unreachable"
    retryable = True

    def __init__(self, why: str, *, is_certain: bool = True) -> None:
        super().__init__(why)
        self.is_certain = is_certain


class Misunderstood(ApiFailure):
    """What answers is no control plane, or one of a version that this client does not understand."""

    code = "misunderstood"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One value that breaks a rule, by the API's name of its field."""

    field: str
    rule: str


class Refused(ApiFailure):
    """A problem (RFC 9457) was answered; `code` and `status` are its own, `str()` is its detail.

    `retry_after_s` is how long to wait, where it says so.
    """

    code: ClassVar[str] = "refused"

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        title: str = "",
        errors: Sequence[FieldError] = (),
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail or title or code)
        self.status = status
        self.problem = code
        self.title = title
        self.errors = tuple(errors)
        self.may_be_repeated = retryable
        self.retry_after_s = retry_after_s
