"""The agent's configuration: environment variables, an env file, systemd credentials.

What is wrong is collected and reported all at once, in words that name the variable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_ENV_FILE: Final = ".env"
ENV_FILE_ENCODING: Final = "utf-8"


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each thing wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    return parts


def _server_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in ("ws", "wss"):
        raise ValueError("must begin with ws:// or wss://")
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or password; the token is in AGENT_SECRET_TOKEN")
    if parts.fragment:
        raise ValueError("must not carry a fragment (#...)")
    return value


def _docker_host(value: str) -> str:
    parts = _split(value)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return value
    if parts.scheme == "tcp" and parts.hostname:
        return value
    raise ValueError("must look like unix:///var/run/docker.sock or tcp://127.0.0.1:2375")


def _token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise ValueError("must not be empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces; it is sent in an HTTP header")
    return SecretStr(text)


def _existing_file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError("names a file that does not exist")
    return value.absolute()


Token = Annotated[SecretStr, AfterValidator(_token)]
ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)]


class AgentSettings(BaseSettings):
    """One field a variable; `AGENT_` stands before each name but SERVER_URL's."""

    model_config = SettingsConfigDict(env_prefix="AGENT_", extra="ignore", frozen=True)

    server_url: Annotated[str, AfterValidator(_server_url)] | None = Field(
        default=None, validation_alias="SERVER_URL"
    )
    token: Token | None = None
    secret_token: Token | None = None
    secret_token_file: ExistingFile | None = None
    ca_file: ExistingFile | None = None

    projects_dir: AbsolutePath = Field(default=Path("projects"), validate_default=True)
    private_projects: bool = False
    state_dir: AbsolutePath = Field(default=Path("state"), validate_default=True)

    lock_dir: AbsolutePath = Path("/run/lock/instadeploy")

    transport: Literal["websocket", "http"] = "websocket"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8090

    docker_host: Annotated[str, AfterValidator(_docker_host)] = "unix:///var/run/docker.sock"
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
            return _token_in(self.secret_token_file)
        if self.token is not None:
            return self.token
        raise SettingsError([_NEITHER])


_NEITHER: Final = (
    "AGENT_SECRET_TOKEN: is missing; set it, or AGENT_TOKEN, or AGENT_SECRET_TOKEN_FILE, or the "
    "systemd credential agent_secret_token"
)
_SERVER_MISSING: Final = (
    "SERVER_URL: is missing; it is where the agent connects, such as wss://cp.example/ws"
)


def load_settings() -> AgentSettings:
    """Read the configuration; raises `SettingsError` with everything that is wrong with it."""
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
    if not wrong & {"token", "secret_token", "secret_token_file"}:
        try:
            settings.bearer_token()
        except SettingsError as exc:
            problems += exc.problems
    return problems


def _token_in(path: Path) -> SecretStr:
    try:
        return _token(SecretStr(path.read_text(encoding="ascii")))
    except OSError as exc:
        raise SettingsError([f"AGENT_SECRET_TOKEN_FILE: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError:
        raise SettingsError(["AGENT_SECRET_TOKEN_FILE: holds something other than ASCII"]) from None
    except ValueError as exc:
        raise SettingsError([f"AGENT_SECRET_TOKEN_FILE: {exc}"]) from None


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
