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

_PROJECT_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_FIRST_CHARACTER = re.compile(r"[a-zA-Z0-9]")


def check_job_id(value: str) -> None:
    """An id is 1 to 256 characters and carries no control or line-breaking character."""
    if not value:
        raise InvalidInput("id", "must not be empty")
    if len(value) > MAX_JOB_ID_LENGTH:
        raise InvalidInput("id", f"must be at most {MAX_JOB_ID_LENGTH} characters long")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
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
