"""The rules that a name, an id, a size and a compose file must satisfy.

Each function raises `InvalidInput` that names the field and the rule, or returns nothing. Who owns
a rule is said beside it; the limits are protocol v1's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from domain.errors import InvalidInput

MAX_JOB_ID_LENGTH: Final = 256
MAX_PROJECT_NAME_LENGTH: Final = 63
MAX_COMPOSE_FILE_BYTES: Final = 1024 * 1024

MAX_REQUESTER_LENGTH: Final = 256
MAX_CREDENTIAL_LENGTH: Final = 8192

_PROJECT_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_FIRST_CHARACTER = re.compile(r"[a-zA-Z0-9]")
_WORD = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_REGISTRY = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,252}[a-zA-Z0-9])?|\[[0-9a-fA-F:.]{2,45}\])(?::[0-9]{1,5})?"
)
_NO_PASSWORD = re.compile("[\0\ud800-\udfff]")


def check_job_id(value: str) -> None:
    """An id is 1 to 256 characters and carries no control or line-breaking character."""
    if not value:
        raise InvalidInput("id", "must not be empty")
    if len(value) > MAX_JOB_ID_LENGTH:
        raise InvalidInput("id", f"must be at most {MAX_JOB_ID_LENGTH} characters long")
    if has_control_characters(value):
        raise InvalidInput("id", "must not contain control characters or line breaks")


def check_project_name(value: str) -> None:
    """A name that is safe as a directory and that Compose accepts once it is lower-cased.

    Compose demands `[a-z0-9][a-z0-9_-]*` of `-p`, and silently takes an empty one for none at all.
    """
    if not value:
        raise InvalidInput("project_name", "must not be empty")
    if len(value) > MAX_PROJECT_NAME_LENGTH:
        raise InvalidInput(
            "project_name", f"must be at most {MAX_PROJECT_NAME_LENGTH} characters long"
        )
    if not _PROJECT_NAME.fullmatch(value):
        raise InvalidInput(
            "project_name", "must contain only letters a-z and A-Z, digits, '_' and '-'"
        )
    if not _FIRST_CHARACTER.match(value):
        raise InvalidInput("project_name", "must begin with a letter or a digit")


def check_compose_content(content: bytes) -> None:
    """What can be said of a compose file without reading it as YAML."""
    if not content.strip():
        raise InvalidInput("compose_file_base64", "the compose file is empty")
    if len(content) > MAX_COMPOSE_FILE_BYTES:
        raise InvalidInput(
            "compose_file_base64",
            f"the compose file is {len(content)} bytes long; at most {MAX_COMPOSE_FILE_BYTES} "
            "(1 MiB) are allowed",
        )


def check_compose_document(document: object) -> None:
    """The least a compose file must say: a mapping whose `services` is a mapping with entries."""
    if not isinstance(document, Mapping):
        raise InvalidInput(
            "compose_file_base64", "the compose file must be a YAML mapping with a 'services' key"
        )
    if "services" not in document:
        raise InvalidInput("compose_file_base64", "the compose file has no 'services'")
    services = document["services"]
    if not isinstance(services, Mapping) or not services:
        raise InvalidInput(
            "compose_file_base64", "'services' in the compose file must name at least one service"
        )


def check_profile(value: str) -> None:
    """Compose's own rule for the names of profiles; `*` is all of them."""
    if value != "*" and not _WORD.fullmatch(value):
        raise InvalidInput("profiles", f"{value[:80]!r} is no name of a profile")


def check_service_name(value: str) -> None:
    """Compose's own rule for the names of services."""
    if not _WORD.fullmatch(value):
        raise InvalidInput("services", f"{value[:80]!r} is no name of a service")


def check_label(name: str, value: str) -> None:
    """What an operator notes on a deployment: a line, which may stand in a list."""
    for what, text, longest in (("name", name, 128), ("value", value, 1024)):
        if len(text) > longest or has_control_characters(text):
            raise InvalidInput(
                "labels", f"a {what} must be at most {longest} characters, in one line"
            )
    if not name:
        raise InvalidInput("labels", "a name must not be empty")


def check_requester(value: str) -> None:
    """Who asked, as it will stand in a list."""
    if len(value) > MAX_REQUESTER_LENGTH or has_control_characters(value):
        raise InvalidInput(
            "requested_by", f"must be at most {MAX_REQUESTER_LENGTH} characters, in one line"
        )


def check_registry(registry: str, username: str, password: str) -> None:
    """A registry by its host name, or address, with or without a port; never a URL or an option."""
    if not _REGISTRY.fullmatch(registry):
        raise InvalidInput(
            "registry_auth", f"{registry[:80]!r} is no registry such as registry.example.com:5000"
        )
    if not username or len(username) > MAX_CREDENTIAL_LENGTH or has_control_characters(username):
        raise InvalidInput(
            f"registry_auth.{registry!r}.username",
            f"must be 1 to {MAX_CREDENTIAL_LENGTH} characters, in one line",
        )
    if ":" in username:
        raise InvalidInput(f"registry_auth.{registry!r}.username", "must not contain a colon")
    if not 1 <= len(password) <= MAX_CREDENTIAL_LENGTH or _NO_PASSWORD.search(password):
        raise InvalidInput(
            f"registry_auth.{registry!r}.password",
            f"must be 1 to {MAX_CREDENTIAL_LENGTH} characters of Unicode text, without NUL",
        )


def check_number(field: str, number: int, most: int) -> None:
    """There are not too many of something."""
    if number > most:
        raise InvalidInput(field, f"must be at most {most}, not {number}")


def has_control_characters(text: str) -> bool:
    """Whether a text would not stay in its line, or is no text at all."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
