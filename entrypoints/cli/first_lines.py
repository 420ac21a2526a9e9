"""What a machine is given so that it becomes a host: a line for a shell, or user-data for cloud-init.

Both fetch the control plane's install.sh over a connection whose other end is pinned, and hand the token
over in the environment: arguments can be read by every user of a machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from domain.errors import InvalidInput

TOKEN_VARIABLE: Final = "INSTADEPLOY_ENROLL_TOKEN"  # noqa: S105 - the name of a variable
DIRECTORY: Final = "/run/instadeploy-enroll"

_CLOUD_CONFIG: Final = """\
#cloud-config
# Makes this machine the host {name} of an InstaDeploy control plane. The token is good once, until
# {until}. User-data can be read by every process on the machine, at the cloud's
# metadata service, also later: by then the token has to be used up.
packages:
  - ca-certificates
  - curl
write_files:
  - path: {token_path}
    owner: root:root
    permissions: "0600"
    content: {token}
  - path: {script_path}
    owner: root:root
    permissions: "0700"
    content: |
      #!/bin/sh
      umask 077
      {fetch}
      status=$?
      if [ "$status" -eq 0 ]; then
          {variable}=$(cat {token_path}) sh {directory}/install.sh
          status=$?
      fi
      rm -rf {directory}
      exit "$status"
runcmd:
  - [sh, {script_path}]
"""


@dataclass(frozen=True, slots=True)
class FirstLine:
    """Where the script is, who serves it, and the token for it.

    `pin` is None over http://, where nothing can be pinned. With `is_private`, the certificate is of an
    authority that a new machine does not know.
    """

    url: str
    token: str = field(repr=False)
    pin: str | None = None
    is_private: bool = False

    def __post_init__(self) -> None:
        for name, text in (("install_url", self.url), ("token", self.token)):
            if not text.isascii() or not text.isprintable() or " " in text:
                raise InvalidInput(name, "must be printable ASCII without spaces")
        # curl would take what begins with a hyphen for an option.
        if not self.url.startswith(("https://", "http://")):
            raise InvalidInput("install_url", "must begin with https:// or http://")

    def for_shell(self) -> str:
        """The line, to be run as root."""
        return f"{self._fetch('-fsSL')} | {TOKEN_VARIABLE}={quoted(self.token)} sh"

    def for_cloud_init(self, name: str, until: str) -> str:
        """The user-data. Where nothing is fetched, nothing is run: no pipe hides that."""
        retrying = "-fsSL --retry 10 --retry-connrefused"
        return _CLOUD_CONFIG.format(
            name=_plain(name),
            until=_plain(until),
            token=json.dumps(self.token),
            token_path=f"{DIRECTORY}/token",
            script_path=f"{DIRECTORY}/first-boot.sh",
            fetch=f"{self._fetch(retrying)} -o {DIRECTORY}/install.sh",
            variable=TOKEN_VARIABLE,
            directory=DIRECTORY,
        )

    def _fetch(self, how: str) -> str:
        words = ["curl", how]
        if self.pin is not None:
            words += ["--proto", quoted("=https")]
            if self.is_private:
                # The machine does not know the authority yet. The pin is checked all the same, and
                # proves more: this key, whoever has signed its certificate.
                words.append("--insecure")
            words += ["--pinnedpubkey", quoted(self.pin)]
        return " ".join([*words, quoted(self.url)])


def quoted(text: str) -> str:
    """A word of the shell, whatever is in it. Always in quotes: so it looks the same each time."""
    return "'" + text.replace("'", "'\\''") + "'"


def _plain(text: str) -> str:
    """Harmless in a comment."""
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)
