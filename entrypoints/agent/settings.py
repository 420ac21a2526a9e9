"""The agent's configuration: environment variables, an env file, systemd credentials.

What is wrong is collected and reported all at once, in words that name the variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.identity.keys_on_disk import membership_in
from domain.errors import InvalidInput
from domain.identity import Membership, fingerprint_of, is_pinned
from domain.installation import USUAL_ENGINE
from entrypoints.agent.values import DockerHost, PublicKey, Seconds, ServerUrl
from entrypoints.configuration import Configuration, SettingsError
from entrypoints.logging_setup import LogFormat
from entrypoints.values import AbsolutePath, ExistingFile, Token, checked_token

PREFIX: Final = "AGENT_"


@dataclass(frozen=True, slots=True)
class Identification:
    """How the agent proves who it is: by `bearer_token`, or where that is None, by the host's key.

    A host that is not enrolled yet is to be, with `enroll_token`, where the control plane has the
    key `control_plane_key`, if given.
    """

    bearer_token: SecretStr | None = None
    membership: Membership | None = None
    enroll_token: SecretStr | None = None
    control_plane_key: str | None = None


class AgentSettings(BaseSettings):
    """One field a variable; `AGENT_` stands before each name but SERVER_URL's."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    server_url: ServerUrl | None = Field(default=None, validation_alias="SERVER_URL")
    token: Token | None = None
    secret_token: Token | None = None
    secret_token_file: ExistingFile | None = None
    enroll_token: Token | None = None
    enroll_token_file: AbsolutePath | None = None
    control_plane_key: PublicKey | None = None
    ca_file: ExistingFile | None = None

    projects_dir: AbsolutePath = Field(default=Path("projects"), validate_default=True)
    private_projects: bool = False
    state_dir: AbsolutePath = Field(default=Path("state"), validate_default=True)

    lock_dir: AbsolutePath = Path("/run/lock/instadeploy")

    transport: Literal["websocket", "http"] = "websocket"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8090

    docker_host: DockerHost = USUAL_ENGINE
    docker_config: AbsolutePath | None = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "auto"

    connect_timeout: Seconds = 10.0
    ping_interval: Seconds = 30.0
    pong_timeout: Seconds = 60.0
    reconnect_jitter: bool = True
    check_timeout: Seconds = 60.0
    deploy_timeout: Seconds = 1800.0
    stop_timeout: Seconds = 300.0
    status_timeout: Seconds = 30.0
    health_timeout: Seconds = 5.0

    wait_timeout: Seconds = 300.0
    settle_time: Seconds = 2.0
    engine_timeout: Seconds = 120.0

    policy_file: AbsolutePath | None = None
    kept_revisions: Annotated[int, Field(ge=1, le=1000)] = 20

    max_queued: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8

    def bearer_token(self) -> SecretStr:
        """The token to present; raises `SettingsError` where its file cannot be used."""
        if self.secret_token is not None:
            return self.secret_token
        if self.secret_token_file is not None:
            return _token_in("AGENT_SECRET_TOKEN_FILE", self.secret_token_file)
        if self.token is not None:
            return self.token
        raise SettingsError([_NEITHER])

    def identification(self) -> Identification:
        """By these settings, and by what the state directory has from before.

        Raises `SettingsError` where that is not exactly one way, and `StorageUnavailable`.
        """
        if self.transport == "http":
            return Identification(self.bearer_token())
        key = self.control_plane_key
        has_token = any((self.token, self.secret_token, self.secret_token_file))
        if (membership := _membership_in(self.state_dir)) is not None:
            if key is not None and not is_pinned(key, membership.control_plane_key):
                pinned = fingerprint_of(membership.control_plane_key)
                raise SettingsError([_OTHER_KEY.format(pinned=pinned)])
            return Identification(membership=membership)
        if self.enroll_token is None and self.enroll_token_file is None:
            if key is not None:
                raise SettingsError([_KEY_WITHOUT_ENROLMENT])
            if not has_token:
                raise SettingsError([_NEITHER + _NOT_ENROLLED.format(state_dir=self.state_dir)])
            return Identification(self.bearer_token())
        if has_token:
            raise SettingsError([_BOTH])
        token = self.enroll_token
        if token is None:
            assert self.enroll_token_file is not None
            token = _token_in("AGENT_ENROLL_TOKEN_FILE", self.enroll_token_file)
        return Identification(enroll_token=token, control_plane_key=key)


_NEITHER: Final = (
    "AGENT_SECRET_TOKEN: is missing; set it, or AGENT_TOKEN, or AGENT_SECRET_TOKEN_FILE, or the "
    "systemd credential agent_secret_token; or AGENT_ENROLL_TOKEN, to enrol this host with a key of "
    "its own"
)
_NOT_ENROLLED: Final = (
    "; no host is enrolled in AGENT_STATE_DIR, which is {state_dir}: where this one was enrolled before, "
    "the agent looks in another directory than then"
)
_BOTH: Final = (
    "AGENT_ENROLL_TOKEN: enrols this host with a key, and cannot stand beside a bearer token: leave "
    "it, or AGENT_SECRET_TOKEN (AGENT_TOKEN, AGENT_SECRET_TOKEN_FILE)"
)
_KEY_WITHOUT_ENROLMENT: Final = (
    "AGENT_CONTROL_PLANE_KEY: is looked at where a host is enrolled, and not with a bearer token: "
    "set AGENT_ENROLL_TOKEN too, or leave it away"
)
_OTHER_KEY: Final = (
    "AGENT_CONTROL_PLANE_KEY: is not the key of the control plane that this host is enrolled at, "
    "which is {pinned}; to enrol it anew, remove identity.json from AGENT_STATE_DIR"
)
_SERVER_MISSING: Final = (
    "SERVER_URL: is missing; it is where the agent connects, such as wss://cp.example/ws"
)


CONFIGURATION: Final = Configuration(AgentSettings, PREFIX)
variable_of = CONFIGURATION.variable_of


def load_settings() -> AgentSettings:
    """Read the configuration; raises `SettingsError` with everything that is wrong with it.

    Raises `StorageUnavailable` where the state directory cannot be looked at.
    """
    settings, problems, wrong = CONFIGURATION.load()
    problems += _missing(settings, wrong)
    if problems:
        raise SettingsError(problems)
    return settings


def unknown_variables() -> list[str]:
    """A sentence for each AGENT_ variable that means nothing, most likely a slip of the pen."""
    return CONFIGURATION.unknown_variables("this agent")


def _missing(settings: AgentSettings, wrong: set[str]) -> list[str]:
    problems = []
    if settings.transport == "websocket" and settings.server_url is None:
        problems += [] if "SERVER_URL" in wrong else [_SERVER_MISSING]
    if not wrong & {"token", "secret_token", "secret_token_file", "enroll_token"}:
        try:
            settings.identification()
        except SettingsError as exc:
            problems += exc.problems
    return problems


def _token_in(variable: str, path: Path) -> SecretStr:
    try:
        return checked_token(SecretStr(path.read_text(encoding="ascii")))
    except OSError as exc:
        raise SettingsError([f"{variable}: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError:
        raise SettingsError([f"{variable}: holds something other than ASCII"]) from None
    except ValueError as exc:
        raise SettingsError([f"{variable}: {exc}"]) from None


def _membership_in(state_dir: Path) -> Membership | None:
    try:
        return membership_in(state_dir)
    except InvalidInput as exc:
        raise SettingsError([f"AGENT_STATE_DIR: {exc}"]) from None
