"""The control plane's configuration. Nothing has to be set to start it."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.storage.address import address_of as database_address_of
from domain.errors import InvalidInput
from domain.fleet.host import ENROLMENT_TTL_S
from domain.fleet.job import CHANGE_TTL_S, LONGEST_TTL_S, READ_TTL_S
from entrypoints.configuration import Configuration, SettingsError
from entrypoints.logging_setup import LogFormat
from entrypoints.values import AbsolutePath, ExistingFile, Token, split_url

PREFIX: Final = "CONTROL_PLANE_"
SHORTEST_TOKEN: Final = 32
MOST_PROXIES: Final = 64
MOST_CA_BYTES: Final = 64 * 1024
"""It becomes a part of /install.sh, which everybody may ask for: some authorities, and no whole store."""

_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; `port` 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback


def address_of(value: str) -> Address:
    """The address that a text names; raises `ValueError` with a rule."""
    rule = "must be an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8443 or [::]:8443"
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(rule)
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004
        raise ValueError(rule)
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(rule) from None
    return Address(host, int(port))


def _listen(value: str) -> str:
    return str(address_of(value))


def _public_url(value: str) -> str:
    parts = split_url(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must look like https://control-plane.example")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user or password")
    if parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError("must name a host, with a port where it needs one, and nothing behind it")
    return f"{parts.scheme}://{parts.netloc}"


def _database_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    parts = split_url(text)
    if parts.scheme == "sqlite":
        if parts.netloc or not parts.path.strip("/"):
            raise ValueError("must look like sqlite:////var/lib/control-plane/fleet.db for a file")
    elif parts.scheme == "postgresql":
        if not parts.path.strip("/"):
            raise ValueError("must look like postgresql://user:password@host/database")
    else:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        database_address_of(text)
    except InvalidInput as exc:
        raise ValueError(exc.rule) from None
    return SecretStr(text)


def _proxies(value: str) -> str:
    named = [part.strip() for part in value.split(",") if part.strip()]
    if len(named) > MOST_PROXIES:
        raise ValueError(f"must name at most {MOST_PROXIES} addresses")
    for part in named:
        try:
            network = ipaddress.ip_network(part)
        except ValueError:
            raise ValueError(
                "must be IP addresses or networks of the proxies, with commas between, such as "
                "10.0.0.5,10.1.0.0/24"
            ) from None
        if network.prefixlen == 0:
            raise ValueError("must not trust everybody: name the proxies")
    return ",".join(named)


def _long_token(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(
            f"must have at least {SHORTEST_TOKEN} characters, so that nobody guesses it"
        )
    return value


LongToken = Annotated[Token, AfterValidator(_long_token)]
Ttl = Annotated[float, Field(gt=0, le=LONGEST_TTL_S, allow_inf_nan=False)]


class ControlPlaneSettings(BaseSettings):
    """One field a variable; `CONTROL_PLANE_` stands before each name but DATABASE_URL's."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    state_dir: AbsolutePath = Field(default=Path("control-plane-state"), validate_default=True)
    database_url: Annotated[SecretStr, AfterValidator(_database_url)] | None = Field(
        default=None, validation_alias="DATABASE_URL"
    )

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    tls_cert_file: ExistingFile | None = None
    tls_key_file: ExistingFile | None = None
    agent_file: ExistingFile | None = None
    ca_file: ExistingFile | None = None
    trusted_proxies: Annotated[str, AfterValidator(_proxies)] = ""

    change_ttl: Ttl = CHANGE_TTL_S
    read_ttl: Ttl = READ_TTL_S
    enrolment_ttl: Annotated[float, Field(ge=60, le=3600, allow_inf_nan=False)] = ENROLMENT_TTL_S
    retention_days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False)] = 30.0

    heartbeat: Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)] = 15.0
    stop_timeout: Annotated[int, Field(ge=1, le=300)] = 20

    metrics_token: LongToken | None = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "auto"

    @property
    def address(self) -> Address:
        """Where to listen."""
        return address_of(self.listen)

    @property
    def proxies(self) -> list[str]:
        """Addresses and networks whose word for who a client is counts."""
        return [part for part in self.trusted_proxies.split(",") if part]

    @property
    def has_tls(self) -> bool:
        """Whether TLS ends here."""
        return self.tls_cert_file is not None

    def ca_pem(self) -> str:
        """The certificates of `ca_file`, and nothing else that stands there; raises `SettingsError`."""
        if self.ca_file is None:
            return ""
        try:
            with self.ca_file.open("rb") as file:
                text = file.read(MOST_CA_BYTES + 1).decode("latin-1")
            found = "\n".join(_CERTIFICATE.findall(text))
            ssl.create_default_context(cadata=found)
        except (ssl.SSLError, OSError, ValueError):
            found, text = "", ""
        if not found or len(text) > MOST_CA_BYTES:
            raise SettingsError(
                [f"{PREFIX}CA_FILE: must hold PEM certificates, {MOST_CA_BYTES >> 10} KiB at most"]
            )
        return found

    def tls_context(self) -> ssl.SSLContext:
        """The certificate of the settings, loaded; raises `SettingsError`."""
        assert self.tls_cert_file is not None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert_file, self.tls_key_file, password=_no_password)
        except (ssl.SSLError, OSError, ValueError):
            why = (
                f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE: must be a PEM certificate, with "
                "its chain, and its PEM key without a passphrase; these two cannot be used"
            )
            raise SettingsError([why]) from None
        return context


CONFIGURATION: Final = Configuration(ControlPlaneSettings, PREFIX)
variable_of = CONFIGURATION.variable_of


def load_settings() -> ControlPlaneSettings:
    """Read the configuration; raises `SettingsError` with everything that is wrong with it."""
    settings, problems, wrong = CONFIGURATION.load()
    tls = {"tls_cert_file": settings.tls_cert_file, "tls_key_file": settings.tls_key_file}
    missing = [name for name, path in tls.items() if path is None]
    if len(missing) == 1 and not wrong & tls.keys():
        problems.append(f"{variable_of(missing[0])}: is missing; the other one is set")
    elif not missing:
        try:
            settings.tls_context()
        except SettingsError as exc:
            problems += exc.problems
    if "ca_file" not in wrong:
        try:
            settings.ca_pem()
        except SettingsError as exc:
            problems += exc.problems
    if problems:
        raise SettingsError(problems)
    return settings


def warnings_of(settings: ControlPlaneSettings) -> list[str]:
    """What can be done, and should be thought about."""
    warnings = CONFIGURATION.unknown_variables("the control plane")
    if not settings.has_tls and not settings.proxies and not settings.address.is_loopback:
        warnings.append(
            f"{PREFIX}LISTEN: {settings.listen} can be reached from outside, without TLS: tokens "
            f"are sent unencrypted. Set {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE, or listen "
            "on 127.0.0.1 behind a proxy that does TLS"
        )
    return warnings


def _no_password() -> str:
    raise ValueError("the key has a passphrase")
