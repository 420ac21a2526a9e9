"""A control plane's certificate for loopback, of an authority that nobody trusts who is not told to."""

from __future__ import annotations

from pathlib import Path

import trustme

CA_FILE = "ca.pem"


def certified(home: Path) -> dict[str, str]:
    """Settings for a control plane with TLS; whom to trust for it is in `home`, as `CA_FILE`."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(home / "cert.pem")
    issued.private_key_pem.write_to_path(home / "key.pem")
    authority.cert_pem.write_to_path(home / CA_FILE)
    return {
        "CONTROL_PLANE_TLS_CERT_FILE": str(home / "cert.pem"),
        "CONTROL_PLANE_TLS_KEY_FILE": str(home / "key.pem"),
    }
