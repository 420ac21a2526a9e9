"""`RegistryNames` on a local disk. Blocking."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapters.filesystem.docker_config import HUB
from adapters.storage_errors import translated
from application.ports.registry_names import RegistryFile

CONFIG: Final = "config.json"
MAX_BYTES: Final = 4 * 1024 * 1024
_HELPER: Final = "docker-credential-"


class LocalRegistryNames:
    """See `RegistryNames`. `search_path` is the PATH that the agent has."""

    def __init__(self, docker_config: Path, search_path: str) -> None:
        self._path = docker_config / CONFIG
        self._search_path = search_path

    def read(self) -> RegistryFile | None:
        """See `RegistryNames`."""
        path = str(self._path)
        with translated(self._path, {}):
            try:
                with self._path.open("rb") as file:
                    text = file.read(MAX_BYTES + 1)
            except FileNotFoundError:
                return None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return RegistryFile(path, malformed="it is not valid JSON")
        if not isinstance(document, Mapping):
            return RegistryFile(path, malformed="it is no JSON object")
        auths, helpers = document.get("auths") or {}, document.get("credHelpers") or {}
        if not isinstance(auths, Mapping) or not isinstance(helpers, Mapping):
            return RegistryFile(path, malformed="'auths' or 'credHelpers' in it is no JSON object")
        store = document.get("credsStore")
        programs = sorted({f"{_HELPER}{one}" for one in (*helpers.values(), store) if one})
        return RegistryFile(
            path,
            registries=sorted({_shown(str(key)) for key in (*auths, *helpers)}),
            helpers=programs,
            missing_helpers=[one for one in programs if not self._is_there(one)],
        )

    def _is_there(self, program: str) -> bool:
        return shutil.which(program, path=self._search_path) is not None


def _shown(key: str) -> str:
    return "docker.io" if key == HUB else key
