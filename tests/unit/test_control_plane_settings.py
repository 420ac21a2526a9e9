"""The control plane's configuration: each variable, and that everything wrong is said at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from entrypoints.configuration import SettingsError
from entrypoints.control_plane.settings import (
    Address,
    ControlPlaneSettings,
    load_settings,
    variable_of,
    warnings_of,
)
from tests.unit.surroundings import Surroundings

SECRET = "s3cr3t-value"


@pytest.fixture
def around(bare_environment: pytest.MonkeyPatch, tmp_path: Path) -> Surroundings:
    for name in list(os.environ):
        if name.upper().startswith("CONTROL_PLANE_") or name == "DATABASE_URL":
            bare_environment.delenv(name)
    return Surroundings(bare_environment, tmp_path)


def problems() -> list[str]:
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    assert SECRET not in str(wrong.value)
    assert SECRET not in repr(wrong.value)
    return wrong.value.problems


def test_nothing_has_to_be_set(around: Surroundings) -> None:
    settings = load_settings()
    assert settings.model_dump() == {
        "state_dir": around.directory / "control-plane-state",
        "database_url": None,
        "listen": "127.0.0.1:8080",
        "public_url": None,
        "tls_cert_file": None,
        "tls_key_file": None,
        "agent_file": None,
        "ca_file": None,
        "trusted_proxies": "",
        "change_ttl": 604800.0,
        "read_ttl": 60.0,
        "enrolment_ttl": 600.0,
        "retention_days": 30.0,
        "heartbeat": 15.0,
        "stop_timeout": 20,
        "metrics_token": None,
        "log_level": "info",
        "log_format": "auto",
    }
    assert settings.address == Address("127.0.0.1", 8080)
    assert warnings_of(settings) == []


VALUES = [
    ("CONTROL_PLANE_STATE_DIR", "/var/lib/cp", "state_dir", Path("/var/lib/cp")),
    ("CONTROL_PLANE_LISTEN", "0.0.0.0:0", "address", Address("0.0.0.0", 0)),
    ("CONTROL_PLANE_LISTEN", "[::1]:8443", "address", Address("::1", 8443)),
    ("CONTROL_PLANE_LISTEN", "localhost:1", "address", Address("localhost", 1)),
    ("CONTROL_PLANE_PUBLIC_URL", "https://cp.example/", "public_url", "https://cp.example"),
    ("CONTROL_PLANE_PUBLIC_URL", "http://cp:80", "public_url", "http://cp:80"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", "10.0.0.5, ::1,10.1.0.0/24", "proxies",
     ["10.0.0.5", "::1", "10.1.0.0/24"]),
    ("CONTROL_PLANE_CHANGE_TTL", "60", "change_ttl", 60.0),
    ("CONTROL_PLANE_READ_TTL", "5", "read_ttl", 5.0),
    ("CONTROL_PLANE_ENROLMENT_TTL", "3600", "enrolment_ttl", 3600.0),
    ("CONTROL_PLANE_RETENTION_DAYS", "0.5", "retention_days", 0.5),
    ("CONTROL_PLANE_HEARTBEAT", "30", "heartbeat", 30.0),
    ("CONTROL_PLANE_STOP_TIMEOUT", "3", "stop_timeout", 3),
    ("CONTROL_PLANE_LOG_LEVEL", "debug", "log_level", "debug"),
    ("CONTROL_PLANE_LOG_FORMAT", "json", "log_format", "json"),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "value", "name", "meant"), VALUES)
def test_each_variable_says_what_it_says(
    around: Surroundings, variable: str, value: str, name: str, meant: object
) -> None:
    around.set(**{variable: value})
    assert getattr(load_settings(), name) == meant


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/fleet.db",
        "sqlite:///fleet.db",
        f"postgresql://cp:{SECRET}@db.example:5432/fleet",
        f"postgresql://cp:{SECRET}@/fleet?host=/run/postgresql&port=5433",
        f"postgresql://cp:{SECRET}@db.example/fleet?sslmode=require",
        f"postgresql://cp:{SECRET}@db.example/fleet?sslmode=verify-full&sslrootcert=system",
    ],
)
def test_the_database_is_named_without_our_prefix_and_its_password_is_not_shown(
    around: Surroundings, url: str
) -> None:
    around.set(DATABASE_URL=url)
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert SECRET not in repr(settings)


POSTGRES = f"postgresql://u:{SECRET}@h/db"

WRONG = [
    ("CONTROL_PLANE_LISTEN", "8080", "must be an IP address and a port"),
    ("CONTROL_PLANE_LISTEN", "cp.example:80", "must be an IP address and a port"),
    ("CONTROL_PLANE_LISTEN", "::1:80", "must be an IP address and a port"),
    ("CONTROL_PLANE_LISTEN", "127.0.0.1:65536", "must be an IP address and a port"),
    ("CONTROL_PLANE_LISTEN", "127.0.0.1:-1", "must be an IP address and a port"),
    ("CONTROL_PLANE_LISTEN", "127.0.0.1:", "must be an IP address and a port"),
    ("CONTROL_PLANE_PUBLIC_URL", "cp.example", "must look like https://"),
    ("CONTROL_PLANE_PUBLIC_URL", "ws://cp.example", "must look like https://"),
    ("CONTROL_PLANE_PUBLIC_URL", f"https://a:{SECRET}@cp", "must not carry a user or password"),
    ("CONTROL_PLANE_PUBLIC_URL", "https://cp/api", "nothing behind it"),
    ("CONTROL_PLANE_PUBLIC_URL", "https://cp:x", "is not a valid URL"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", "*", "must be IP addresses or networks"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", "proxy.example", "must be IP addresses or networks"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", "0.0.0.0/0", "must not trust everybody"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", "::/0", "must not trust everybody"),
    ("CONTROL_PLANE_TRUSTED_PROXIES", ",".join(["10.0.0.1"] * 65), "at most 64"),
    ("DATABASE_URL", f"mysql://u:{SECRET}@h/db", "must begin with sqlite:/// or postgresql://"),
    ("DATABASE_URL", "sqlite+aiosqlite:////x.db", "must begin with sqlite:/// or postgresql://"),
    ("DATABASE_URL", f"postgresql://u:{SECRET}@h", "must look like postgresql://"),
    ("DATABASE_URL", f"{POSTGRES}?sslmode=nonsense", "sslmode must be one of disable, allow"),
    ("DATABASE_URL", f"{POSTGRES}?application_name=x", "application_name is not supported"),
    ("DATABASE_URL", f"{POSTGRES}?connect_timeout=5", "connect_timeout is not supported"),
    ("DATABASE_URL", f"{POSTGRES}?ssl=require", "ssl is not supported"),
    ("DATABASE_URL", f"{POSTGRES}?{SECRET}=x", "one of its parameters is not supported"),
    ("DATABASE_URL", f"{POSTGRES}?sslmode=require&sslmode=disable", "sslmode must be given once"),
    ("DATABASE_URL", f"{POSTGRES}?host=/run/a&host=/run/b", "host must be given once"),
    ("DATABASE_URL", f"{POSTGRES}?sslrootcert=/x", "sslrootcert needs sslmode=verify-ca or"),
    ("DATABASE_URL", f"{POSTGRES}?sslmode=verify-full&sslrootcert=/nowhere", "sslrootcert must"),
    ("DATABASE_URL", f"{POSTGRES}?host=/run&port=x", "port must be a number"),
    ("DATABASE_URL", "sqlite:////x.db?mode=ro", "must name a file for SQLite"),
    ("DATABASE_URL", "sqlite://", "must look like sqlite:///"),
    ("DATABASE_URL", "sqlite://host/x", "must look like sqlite:///"),
    ("CONTROL_PLANE_CHANGE_TTL", "0", "must be greater than 0"),
    ("CONTROL_PLANE_CHANGE_TTL", "1e9", "at most 7776000"),
    ("CONTROL_PLANE_READ_TTL", "nan", "must be a finite number"),
    ("CONTROL_PLANE_READ_TTL", "soon", "must be a number"),
    ("CONTROL_PLANE_ENROLMENT_TTL", "59", "must be at least 60"),
    ("CONTROL_PLANE_ENROLMENT_TTL", "86400", "must be at most 3600"),
    ("CONTROL_PLANE_RETENTION_DAYS", "-1", "must be greater than 0"),
    ("CONTROL_PLANE_HEARTBEAT", "61", "must be at most 60"),
    ("CONTROL_PLANE_STOP_TIMEOUT", "1.5", "must be a whole number"),
    ("CONTROL_PLANE_METRICS_TOKEN", SECRET, "at least 32 characters"),
    ("CONTROL_PLANE_METRICS_TOKEN", f"{SECRET} " * 4, "without spaces"),
    ("CONTROL_PLANE_METRICS_TOKEN", " ", "must not be empty"),
    ("CONTROL_PLANE_LOG_LEVEL", "loud", "must be 'debug'"),
    ("CONTROL_PLANE_TLS_CERT_FILE", "/nowhere", "names a file that does not exist"),
]


@pytest.mark.parametrize(("variable", "value", "rule"), WRONG)
def test_a_wrong_value_is_refused_with_its_variable_and_the_rule(
    around: Surroundings, variable: str, value: str, rule: str
) -> None:
    around.set(**{variable: value})
    (sentence,) = problems()
    assert sentence.startswith(f"{variable}: ")
    assert rule in sentence
    assert SECRET not in sentence


def test_everything_that_is_wrong_is_said_at_once(around: Surroundings) -> None:
    around.set(CONTROL_PLANE_LISTEN="x", CONTROL_PLANE_READ_TTL="y", DATABASE_URL="z")
    assert {sentence.partition(":")[0] for sentence in problems()} == {
        "CONTROL_PLANE_LISTEN",
        "CONTROL_PLANE_READ_TTL",
        "DATABASE_URL",
    }


class TestTls:
    @pytest.fixture
    def files(self, around: Surroundings) -> tuple[str, str]:
        authority = trustme.CA()
        issued = authority.issue_cert("cp.example")
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return (
            around.write("cert.pem", chain),
            around.write("key.pem", issued.private_key_pem.bytes()),
        )

    def test_certificate_and_key_are_read_from_files(
        self, around: Surroundings, files: tuple[str, str]
    ) -> None:
        around.set(CONTROL_PLANE_TLS_CERT_FILE=files[0], CONTROL_PLANE_TLS_KEY_FILE=files[1])
        settings = load_settings()
        assert settings.has_tls
        assert settings.tls_context().minimum_version.name == "TLSv1_2"

    @pytest.mark.parametrize(("given", "missing"), [("CERT", "KEY"), ("KEY", "CERT")])
    def test_one_without_the_other_is_refused(
        self, around: Surroundings, files: tuple[str, str], given: str, missing: str
    ) -> None:
        around.set(**{f"CONTROL_PLANE_TLS_{given}_FILE": files[0]})
        assert problems() == [f"CONTROL_PLANE_TLS_{missing}_FILE: is missing; the other one is set"]

    def test_files_that_do_not_belong_together_are_refused(
        self, around: Surroundings, files: tuple[str, str]
    ) -> None:
        other = trustme.CA().issue_cert("cp.example").private_key_pem.bytes()
        around.set(
            CONTROL_PLANE_TLS_CERT_FILE=files[0],
            CONTROL_PLANE_TLS_KEY_FILE=around.write("other.pem", other),
        )
        (sentence,) = problems()
        assert sentence.startswith("CONTROL_PLANE_TLS_CERT_FILE and CONTROL_PLANE_TLS_KEY_FILE:")

    def test_what_is_no_certificate_is_refused(
        self, around: Surroundings, files: tuple[str, str]
    ) -> None:
        around.set(
            CONTROL_PLANE_TLS_CERT_FILE=around.write("x.pem", "nothing"),
            CONTROL_PLANE_TLS_KEY_FILE=files[1],
        )
        assert len(problems()) == 1


class TestCertificatesForAgents:
    def test_they_are_told_and_nothing_that_stands_beside_them(self, around: Surroundings) -> None:
        authorities = [trustme.CA(), trustme.CA()]
        certificates = [one.cert_pem.bytes().decode() for one in authorities]
        key = authorities[0].private_key_pem.bytes().decode()
        content = f"# ours\n{certificates[0]}{key}{certificates[1]}"
        around.set(CONTROL_PLANE_CA_FILE=around.write("ca.pem", content))
        told = load_settings().ca_pem()
        assert told + "\n" == "".join(certificates)

    @pytest.mark.parametrize("which", ["nothing", "a key", "no base64", "too much"])
    def test_what_is_none_is_refused(self, around: Surroundings, which: str) -> None:
        certificate = trustme.CA().cert_pem.bytes().decode()
        content = {
            "nothing": "",
            "a key": trustme.CA().private_key_pem.bytes().decode(),
            "no base64": certificate.replace("M", "=", 1),
            "too much": certificate * 200,
        }[which]
        around.set(CONTROL_PLANE_CA_FILE=around.write("ca.pem", content))
        (sentence,) = problems()
        assert sentence.startswith("CONTROL_PLANE_CA_FILE: must hold PEM certificates")

    def test_files_that_do_not_exist_are_named(self, around: Surroundings) -> None:
        around.set(CONTROL_PLANE_CA_FILE="/nonexistent", CONTROL_PLANE_AGENT_FILE="/nonexistent")
        assert [one.partition(":")[0] for one in sorted(problems())] == [
            "CONTROL_PLANE_AGENT_FILE",
            "CONTROL_PLANE_CA_FILE",
        ]


class TestWarnings:
    def test_plain_http_that_can_be_reached_is_warned_of(self, around: Surroundings) -> None:
        around.set(CONTROL_PLANE_LISTEN="0.0.0.0:8080")
        (warning,) = warnings_of(load_settings())
        assert "tokens are sent unencrypted" in warning
        around.set(CONTROL_PLANE_TRUSTED_PROXIES="10.0.0.5")
        assert warnings_of(load_settings()) == []

    def test_slips_of_the_pen_are_warned_of(self, around: Surroundings) -> None:
        around.set(CONTROL_PLANE_LISTN="x")
        around.write(".env", "CONTROL_PLANE_LOG_LEVL=debug\n")
        told = [sentence.partition("; ") for sentence in warnings_of(load_settings())]
        assert [(slip, meant) for slip, _, meant in told] == [
            (f"{slip} is no setting of the control plane", f"did you mean {meant}?")
            for slip, meant in [
                ("CONTROL_PLANE_LISTN", "CONTROL_PLANE_LISTEN"),
                ("CONTROL_PLANE_LOG_LEVL", "CONTROL_PLANE_LOG_LEVEL"),
            ]
        ]


class TestSources:
    def test_an_env_file_is_read_and_a_variable_outranks_it(self, around: Surroundings) -> None:
        around.write(".env", "CONTROL_PLANE_READ_TTL=5\nCONTROL_PLANE_HEARTBEAT=20\n")
        around.set(CONTROL_PLANE_HEARTBEAT="30")
        settings = load_settings()
        assert (settings.read_ttl, settings.heartbeat) == (5.0, 30.0)

    def test_another_env_file_may_be_named(self, around: Surroundings) -> None:
        around.set(CONTROL_PLANE_ENV_FILE=around.write("x.env", "CONTROL_PLANE_READ_TTL=5\n"))
        assert load_settings().read_ttl == 5.0
        around.set(CONTROL_PLANE_ENV_FILE="missing.env")
        assert problems() == ["CONTROL_PLANE_ENV_FILE: names a file that does not exist"]

    def test_an_env_file_that_is_no_text_is_said(self, around: Surroundings) -> None:
        around.write(".env", b"CONTROL_PLANE_READ_TTL=\xff\n")
        assert problems() == ["CONTROL_PLANE_ENV_FILE: .env cannot be read as UTF-8 text"]

    def test_systemd_credentials_are_read(self, around: Surroundings) -> None:
        around.write("credentials/control_plane_metrics_token", "m" * 40)
        around.write("credentials/database_url", f"postgresql://u:{SECRET}@h/db")
        around.set(CREDENTIALS_DIRECTORY=str(around.directory / "credentials"))
        settings = load_settings()
        assert settings.metrics_token is not None
        assert settings.database_url is not None
        assert SECRET in settings.database_url.get_secret_value()


def test_every_field_has_its_variable() -> None:
    variables = {name: variable_of(name) for name in ControlPlaneSettings.model_fields}
    assert variables.pop("database_url") == "DATABASE_URL"
    assert all(variable == f"CONTROL_PLANE_{name.upper()}" for name, variable in variables.items())
