"""The agent's configuration: environment variables, an env file, systemd credentials.

What is wrong is collected and reported all at once, in words that name the variable.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.identity.keys_on_disk import membership_in
from domain.errors import InvalidInput
from domain.identity import Membership, fingerprint_of, is_pinned
from entrypoints.agent.values import (
    AbsolutePath,
    DockerHost,
    ExistingFile,
    PublicKey,
    Seconds,
    ServerUrl,
    Token,
    checked_token,
)

DEFAULT_ENV_FILE: Final = ".env"
ENV_FILE_ENCODING: Final = "utf-8"


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each thing wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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

    model_config = SettingsConfigDict(env_prefix="AGENT_", extra="ignore", frozen=True)

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

    docker_host: DockerHost = "unix:///var/run/docker.sock"
    docker_config: AbsolutePath | None = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"

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
        if (membership := _membership_in(self.state_dir)) is not None:
            if key is not None and not is_pinned(key, membership.control_plane_key):
                pinned = fingerprint_of(membership.control_plane_key)
                raise SettingsError([_OTHER_KEY.format(pinned=pinned)])
            return Identification(membership=membership)
        if self.enroll_token is None and self.enroll_token_file is None:
            if key is not None:
                raise SettingsError([_KEY_WITHOUT_ENROLMENT])
            return Identification(self.bearer_token())
        if any((self.token, self.secret_token, self.secret_token_file)):
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


def load_settings() -> AgentSettings:
    """Read the configuration; raises `SettingsError` with everything that is wrong with it.

    Raises `StorageUnavailable` where the state directory cannot be looked at.
    """
    env_file, problems = _env_file()
    sources: dict[str, Any] = {"_env_file": env_file, "_env_file_encoding": ENV_FILE_ENCODING}
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(credentials).is_dir():
        sources["_secrets_dir"] = credentials
    wrong: set[str] = set()
    try:
        try:
            settings = AgentSettings(**sources)
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
            problems += [_in_words(error) for error in errors]
            wrong = {str(error["loc"][0]) for error in errors}
            # Once more without what is wrong, to find what is missing as well.
            settings = AgentSettings(**sources, **_defaults(wrong))
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            [*problems, f"AGENT_ENV_FILE: {env_file} cannot be read as UTF-8 text"]
        ) from None
    problems += _missing(settings, wrong)
    if problems:
        raise SettingsError(problems)
    return settings


def unknown_variables() -> list[str]:
    """A sentence for each AGENT_ variable that means nothing, most likely a slip of the pen."""
    known = {variable_of(name) for name in AgentSettings.model_fields} | {"AGENT_ENV_FILE"}
    sentences = []
    for name in sorted({*os.environ, *_names_in_env_file()}):
        if name.upper().startswith("AGENT_") and name.upper() not in known:
            import difflib  # noqa: PLC0415 - What is seldom needed need not stay in memory.

            near = difflib.get_close_matches(name.upper(), known, n=1)
            sentences.append(
                f"{name} is no setting of this agent"
                + (f"; did you mean {near[0]}?" if near else "")
            )
    return sentences


def _names_in_env_file() -> set[str]:
    env_file, _ = _env_file()
    if env_file is None:
        return set()
    try:
        return set(dotenv_values(env_file, encoding=ENV_FILE_ENCODING))
    except (OSError, UnicodeDecodeError):
        return set()  # `load_settings` says so.


def variable_of(field: str) -> str:
    """The environment variable of a field."""
    return "SERVER_URL" if field.lower() == "server_url" else f"AGENT_{field.upper()}"


def _env_file() -> tuple[Path | None, list[str]]:
    named = os.environ.get("AGENT_ENV_FILE")
    if named is None:
        default = Path(DEFAULT_ENV_FILE)
        return (default if default.is_file() else None), []
    if not Path(named).is_file():
        return None, ["AGENT_ENV_FILE: names a file that does not exist"]
    return Path(named), []


def _defaults(names: set[str]) -> dict[str, Any]:
    """The defaults of fields, by the names that pydantic reports and takes."""
    fields = {f.validation_alias or name: f for name, f in AgentSettings.model_fields.items()}
    return {name: field.default for name, field in fields.items() if name in names}


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


def _in_words(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else ""
    rule = _RULES.get(error["type"]) or (
        str(error["msg"])
        .removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("greater than or equal to", "at least")
        .replace("less than or equal to", "at most")
    )
    return f"{variable_of(field)}: {rule}"


_RULES: Final = {
    "bool_parsing": "must be 1 or 0, on or off, true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
}
