"""The error tree.

    InstaDeployError
    ├── InvalidInput          what was asked breaks a rule: names the field and the rule
    ├── NotFound              what was asked for does not exist on this host
    ├── Conflict              it exists, and contradicts what was asked
    ├── Forbidden             the host's policy does not allow it
    ├── NotPermitted          whoever asks may not do that
    ├── Unproven              a password or a code is not the one
    ├── TooManyAttempts       too much was got wrong lately
    ├── StaleGeneration       a newer wish for the project was accepted before
    ├── Busy                  a bounded queue is full; the same command may succeed later
    ├── Canceled              somebody wanted the job to end, and it did
    ├── Draining              the agent is stopping and takes no new commands
    ├── StorageUnavailable    what the agent keeps on disk cannot be written or read
    │   └── NoSpace           the disk is full
    ├── RuntimeUnavailable    Docker Engine or Compose is missing, too old, or does not answer
    ├── TransportLost         the link to the control plane is gone; connecting again may help
    ├── TransportRefused      the control plane said no; somebody has to change something
    └── ProtocolViolation
        ├── LocalProtocolViolation    we are about to say something that the protocol forbids
        └── RemoteProtocolViolation   the peer said something that the protocol forbids

`code` is the stable word that machines read (`data.reason` of a FAILED response); `retryable` says
whether the same request can succeed later without anybody changing anything. A run of
`docker compose` that fails is not an error but a result: it has an exit code and output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class InstaDeployError(Exception):
    """Root of everything this project raises on purpose."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class InvalidInput(InstaDeployError):
    """A value breaks a rule; `field` is its name on the wire, `rule` a full sentence about it."""

    code = "invalid_input"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class UnknownCommand(InvalidInput):
    """The `type` of a command is none that this agent knows. The sentence is protocol v1's."""

    code = "unknown_command"

    def __init__(self, command_type: str) -> None:
        super().__init__("type", f"Unknown command type: {command_type}")
        self.command_type = command_type

    def __str__(self) -> str:
        return self.rule


class NotFound(InstaDeployError):
    """The named thing does not exist on this host."""

    code = "not_found"


class Conflict(InstaDeployError):
    """The request contradicts what is already there."""

    code = "conflict"


class Forbidden(InstaDeployError):
    """The host's owner does not allow that, whoever asks."""

    code = "policy"


class NotPermitted(InstaDeployError):
    """Whoever asks may not do that, as far as they may know of it."""

    code = "forbidden"


class Unproven(InstaDeployError):
    """A password or code is not the one; which of several things is wrong is not said."""

    code = "unauthenticated"


class TooManyAttempts(InstaDeployError):
    """Too much was got wrong lately; `wait_s` is when it can be tried again, in seconds."""

    code = "too_many_attempts"
    retryable = True

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many attempts have failed; try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class StaleGeneration(InstaDeployError):
    """The command is older than one that was accepted for its project."""

    code = "stale_generation"

    def __init__(self, generation: int, highest: int) -> None:
        super().__init__(
            f"generation: {generation} is not above {highest}, the highest one accepted for the project"
        )


class Busy(InstaDeployError):
    """A bounded queue is full."""

    code = "busy"
    retryable = True

    def __init__(self, why: str) -> None:
        super().__init__(f"busy: {why}; send the command again later")


class Canceled(InstaDeployError):
    """The job was ended because somebody wanted that; `str()` says what that leaves, `data` too."""

    code = "canceled"

    def __init__(self, what: str, logs: str = "", data: Mapping[str, object] | None = None) -> None:
        super().__init__(what)
        self.logs = logs
        self.data = data or {}


class Draining(InstaDeployError):
    """The agent is stopping."""

    code = "draining"
    retryable = True

    def __init__(self) -> None:
        super().__init__("the agent is stopping and takes no new commands; send it again later")


class StorageUnavailable(InstaDeployError):
    """A project's files, or what the agent must remember, cannot be written or read."""

    code = "storage_unavailable"
    retryable = True


class NoSpace(StorageUnavailable):
    """The file system is full, or over quota."""

    code = "no_space"


class StorageBusy(StorageUnavailable):
    """Too much waits for the database: what was asked has not happened, and may succeed later."""

    code = "busy"


class RuntimeUnavailable(InstaDeployError):
    """Docker Engine or Docker Compose is missing, too old, or does not answer."""

    code = "runtime_unavailable"
    retryable = True


class TransportLost(InstaDeployError):
    """The link ended or could not be made; trying again is the right thing to do."""

    code = "transport_lost"
    retryable = True

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class TransportRefused(InstaDeployError):
    """The control plane refused us; `advice` says what a person should check."""

    code = "transport_refused"

    def __init__(self, why: str, *, advice: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.advice = advice
        self.retry_after_s = retry_after_s


class ProtocolViolation(InstaDeployError):
    """Somebody broke the protocol."""

    code = "protocol"


class LocalProtocolViolation(ProtocolViolation):
    """We were about to break it: a bug of ours."""

    code = "protocol_local"


class RemoteProtocolViolation(ProtocolViolation):
    """The peer broke it."""

    code = "protocol_remote"
