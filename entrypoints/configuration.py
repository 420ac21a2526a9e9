"""Reading a program's settings: environment variables, an env file, systemd credentials.

What is wrong is collected and reported all at once, in words that name the variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings

DEFAULT_ENV_FILE: Final = ".env"
ENV_FILE_ENCODING: Final = "utf-8"

S = TypeVar("S", bound=BaseSettings)


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each thing wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Configuration(Generic[S]):
    """Where the settings of one program come from. `prefix` stands before each variable's name.

    A field with a validation alias has that for its variable's whole name.
    """

    def __init__(self, kind: type[S], prefix: str) -> None:
        self._kind = kind
        self._prefix = prefix
        self.env_file_variable = f"{prefix}ENV_FILE"

    def load(self) -> tuple[S, list[str], set[str]]:
        """The settings, what is wrong with them, and the fields in which that is.

        What is wrong has its default, so that what is missing besides can be found as well. Raises
        `SettingsError` where there are no settings at all.
        """
        env_file, problems = self._env_file()
        sources: dict[str, Any] = {"_env_file": env_file, "_env_file_encoding": ENV_FILE_ENCODING}
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and Path(credentials).is_dir():
            sources["_secrets_dir"] = credentials
        try:
            try:
                return self._kind(**sources), problems, set()
            except ValidationError as exc:
                errors = exc.errors(include_url=False)
                problems += [self._in_words(error) for error in errors]
                wrong = {str(error["loc"][0]) for error in errors}
                return self._kind(**sources, **self._defaults(wrong)), problems, wrong
        except (OSError, UnicodeDecodeError):
            raise SettingsError(
                [*problems, f"{self.env_file_variable}: {env_file} cannot be read as UTF-8 text"]
            ) from None

    def variable_of(self, field: str) -> str:
        """The environment variable of a field."""
        info = self._kind.model_fields.get(field)
        alias = field if info is None else info.validation_alias
        return str(alias) if alias in self._aliases() else f"{self._prefix}{field.upper()}"

    def unknown_variables(self, program: str) -> list[str]:
        """A sentence for each variable with our prefix that means nothing: a slip of the pen."""
        known = {self.variable_of(name) for name in self._kind.model_fields}
        known.add(self.env_file_variable)
        sentences = []
        for name in sorted({*os.environ, *self._names_in_env_file()}):
            if name.upper().startswith(self._prefix) and name.upper() not in known:
                import difflib  # noqa: PLC0415 - What is seldom needed need not stay in memory.

                near = difflib.get_close_matches(name.upper(), known, n=1)
                sentences.append(
                    f"{name} is no setting of {program}"
                    + (f"; did you mean {near[0]}?" if near else "")
                )
        return sentences

    def _aliases(self) -> set[str]:
        return {str(f.validation_alias) for f in self._kind.model_fields.values()} - {"None"}

    def _names_in_env_file(self) -> set[str]:
        env_file, _ = self._env_file()
        if env_file is None:
            return set()
        try:
            return set(dotenv_values(env_file, encoding=ENV_FILE_ENCODING))
        except (OSError, UnicodeDecodeError):
            return set()  # `load` says so.

    def _env_file(self) -> tuple[Path | None, list[str]]:
        named = os.environ.get(self.env_file_variable)
        if named is None:
            default = Path(DEFAULT_ENV_FILE)
            return (default if default.is_file() else None), []
        if not Path(named).is_file():
            return None, [f"{self.env_file_variable}: names a file that does not exist"]
        return Path(named), []

    def _defaults(self, names: set[str]) -> dict[str, Any]:
        """The defaults of fields, by the names that pydantic reports and takes."""
        fields = {str(f.validation_alias or n): f for n, f in self._kind.model_fields.items()}
        return {name: field.default for name, field in fields.items() if name in names}

    def _in_words(self, error: Any) -> str:
        field = str(error["loc"][0]) if error["loc"] else ""
        variable = field if field in self._aliases() else f"{self._prefix}{field.upper()}"
        rule = _RULES.get(error["type"]) or (
            str(error["msg"])
            .removeprefix("Value error, ")
            .replace("Input should be", "must be")
            .replace("greater than or equal to", "at least")
            .replace("less than or equal to", "at most")
        )
        return f"{variable}: {rule}"


_RULES: Final[Mapping[str, str]] = {
    "bool_parsing": "must be 1 or 0, on or off, true or false",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
}
