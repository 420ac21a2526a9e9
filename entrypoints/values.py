"""What settings of either program have to look like.

A `ValueError` is the sentence behind the variable's name, and does not quote the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr


def split_url(value: str) -> SplitResult:
    """The parts of a URL, whose port is a number where there is one; raises `ValueError`."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    return parts


def checked_token(value: SecretStr) -> SecretStr:
    """A token without the white space around it; raises `ValueError`."""
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


Token = Annotated[SecretStr, AfterValidator(checked_token)]
ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
