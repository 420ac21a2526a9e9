"""What a database's URL may say of TLS, and what the driver is given then."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from adapters.storage.address import PostgresDatabase, address_of

SERVER = "postgresql://cp:s3cr3t@db.example/fleet"


def postgres(url: str) -> PostgresDatabase:
    address = address_of(url)
    assert isinstance(address, PostgresDatabase)
    return address


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
def test_a_server_that_need_not_prove_itself_is_trusted_as_the_driver_does(mode: str) -> None:
    address = postgres(f"{SERVER}?sslmode={mode}")
    assert address.tls is None
    assert dict(address.url.query) == {"ssl": mode}


@pytest.mark.parametrize(("mode", "checks_name"), [("verify-ca", False), ("verify-full", True)])
def test_one_that_has_to_prove_itself_does_so_to_those_who_are_named(
    tmp_path: Path, mode: str, *, checks_name: bool
) -> None:
    root = tmp_path / "root.pem"
    trustme.CA().cert_pem.write_to_path(root)
    address = postgres(f"{SERVER}?sslmode={mode}&sslrootcert={root}")
    assert address.tls is not None
    assert address.tls.verify_mode is ssl.CERT_REQUIRED
    assert address.tls.check_hostname is checks_name
    assert len(address.tls.get_ca_certs()) == 1
    assert dict(address.url.query) == {}
    assert "s3cr3t" not in repr(address)


def test_without_a_file_those_are_trusted_whom_the_system_trusts() -> None:
    for url in (
        f"{SERVER}?sslmode=verify-full",
        f"{SERVER}?sslmode=verify-full&sslrootcert=system",
    ):
        tls = postgres(url).tls
        assert tls is not None
        assert tls.check_hostname


def test_a_server_on_this_machine_is_found_by_the_directory_of_its_socket() -> None:
    address = postgres("postgresql://cp@/fleet?host=/run/postgresql&port=5433")
    arguments, options = address.url.get_dialect()().create_connect_args(address.url)
    assert (list(arguments), options["host"], int(options["port"])) == ([], "/run/postgresql", 5433)
