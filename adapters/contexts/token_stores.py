"""Where tokens are kept: in the keyring of the desktop, or in a file that nobody else reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Protocol

from adapters.contexts.context_file import Context
from adapters.contexts.private_file import (
    check_private_directory,
    locked,
    make_directory,
    read_file,
    write_file,
)
from domain.errors import InvalidInput, StorageUnavailable

KEYRING: Final = "keyring"
FILE: Final = "file"
AUTO: Final = "auto"
SERVICE: Final = "instadeploy"
DIRECTORY: Final = "tokens"
FILE_NAME: Final = "tokens.json"


class TokenStore(Protocol):
    """Keeps one token for each context. All methods raise `StorageUnavailable` and `InvalidInput`."""

    name: str

    def put(self, context: Context, token: str) -> None:
        """Keep it in the place of the one before."""

    def get(self, context: Context) -> str | None:
        """The token, or None."""

    def remove(self, context: Context) -> None:
        """Forget it; harmless where there is none."""


class FileTokens:
    """Tokens in a 0600 file, in a 0700 directory of its own beside the contexts."""

    name = FILE

    def __init__(self, config_directory: Path) -> None:
        self._directory = config_directory / DIRECTORY
        self._path = self._directory / FILE_NAME

    def put(self, context: Context, token: str) -> None:
        """See `TokenStore`."""
        self._change(context, token)

    def get(self, context: Context) -> str | None:
        """See `TokenStore`."""
        found = self._read().get(_account(context))
        return found if isinstance(found, str) else None

    def remove(self, context: Context) -> None:
        """See `TokenStore`."""
        if self._directory.exists():
            self._change(context, None)

    def _change(self, context: Context, token: str | None) -> None:
        make_directory(self._directory.parent)
        make_directory(self._directory)
        check_private_directory(self._directory)
        with locked(self._directory / ".lock"):
            tokens = self._read()
            tokens.pop(_account(context), None)
            if token is not None:
                tokens[_account(context)] = token
            write_file(self._path, (json.dumps(tokens, indent=2) + "\n").encode())

    def _read(self) -> dict[str, Any]:
        if not self._directory.exists():
            return {}
        check_private_directory(self._directory)
        content = read_file(self._path, is_secret=True)
        if content is None:
            return {}
        try:
            tokens = json.loads(content)
        except (ValueError, RecursionError):
            tokens = None
        if not isinstance(tokens, dict):
            raise InvalidInput(str(self._path), "is no file of tokens: remove it and log in again")
        return tokens


class KeyringTokens:
    """Tokens in what the desktop has for secrets."""

    name = KEYRING

    def put(self, context: Context, token: str) -> None:
        """See `TokenStore`."""
        self._do("set_password", SERVICE, _account(context), token)

    def get(self, context: Context) -> str | None:
        """See `TokenStore`."""
        found = self._do("get_password", SERVICE, _account(context))
        return found if isinstance(found, str) else None

    def remove(self, context: Context) -> None:
        """See `TokenStore`."""
        if self.get(context) is not None:
            self._do("delete_password", SERVICE, _account(context))

    @staticmethod
    def _do(what: str, *arguments: str) -> object:
        import keyring  # noqa: PLC0415 - looks for its backends, which takes long

        try:
            return getattr(keyring, what)(*arguments)
        except Exception as exc:  # noqa: BLE001 - backends raise what their libraries do
            # Their words may be about anything, so only the kind is told.
            raise StorageUnavailable(
                f"the keyring cannot be used ({type(exc).__name__}); INSTADEPLOY_TOKEN_STORE=file keeps "
                "tokens in a file"
            ) from None


def is_keyring_usable() -> bool:
    """Whether there is one that keeps secrets; no prompt is shown."""
    try:
        import keyring  # noqa: PLC0415 - see above
        from keyring.backends import fail, null  # noqa: PLC0415

        backend = keyring.get_keyring()
        return backend.priority > 0 and not isinstance(backend, fail.Keyring | null.Keyring)
    except Exception:  # noqa: BLE001 - whatever a backend does that is not usable
        return False


def store_for_new(choice: str, config_directory: Path) -> TokenStore:
    """Where a new token goes: as it is chosen, and with `auto` where it is best kept."""
    if choice not in (AUTO, FILE, KEYRING):
        raise InvalidInput("INSTADEPLOY_TOKEN_STORE", "must be auto, keyring or file")
    if choice == KEYRING or (choice == AUTO and is_keyring_usable()):
        return KeyringTokens()
    return FileTokens(config_directory)


def store_of(context: Context, config_directory: Path) -> TokenStore:
    """Where the token of a context is."""
    return KeyringTokens() if context.token_store == KEYRING else FileTokens(config_directory)


def put_new(choice: str, config_directory: Path, context: Context, token: str) -> str:
    """Keep a new token; the name of the store that has it. A keyring that fails is done without."""
    store = store_for_new(choice, config_directory)
    try:
        store.put(context, token)
    except StorageUnavailable:
        if choice != AUTO or store.name == FILE:
            raise
        store = FileTokens(config_directory)
        store.put(context, token)
    return store.name


def _account(context: Context) -> str:
    """A token is for a URL: a context that is changed to another one has none."""
    return f"{context.name} {context.url}"
