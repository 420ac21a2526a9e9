"""What Compose makes of compose files, as much of it as tests need."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from domain.project import Project

Read = Callable[[str], bytes]
"""The content at a path; raises `KeyError` where nothing is."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def resolved(read: Read, project: Project, profiles: Sequence[str]) -> dict[str, Any]:
    """The model that `docker compose config` prints: of these profiles, with all overrides."""
    variables = _variables(read, project)
    document: dict[str, Any] = {}
    for path in (project.compose_file, *project.overrides):
        text = _VARIABLE.sub(lambda match: variables.get(match[1], ""), read(path).decode())
        _merge(document, yaml.safe_load(text))
    name = project.name.compose_name
    services = {
        service: _with_env_files(_normal(definition, project), read, project)
        for service, definition in document["services"].items()
        if _is_active(definition, profiles)
    }
    return {
        "name": name,
        "services": services,
        "networks": {
            key: {"name": f"{name}_{key}", **(definition or {})}
            for key, definition in (document.get("networks") or _default_of(services)).items()
        },
        "volumes": {
            key: {"name": f"{name}_{key}", **(definition or {})}
            for key, definition in (document.get("volumes") or {}).items()
        },
    }


def complaint_about(model: Mapping[str, Any]) -> str:
    """Why Compose rejects it; nothing where it does not."""
    for name, service in model["services"].items():
        if "image" not in service and "build" not in service:
            return (
                f'service "{name}" has neither an image nor a build context specified: '
                "invalid compose project\n"
            )
    return ""


def hashes_of(model: Mapping[str, Any]) -> dict[str, str]:
    """What Compose would label the containers of each service with."""
    return {
        name: hashlib.sha256(json.dumps(service, sort_keys=True).encode()).hexdigest()
        for name, service in model["services"].items()
    }


def hashes_told(read: Read, project: Project, profiles: Sequence[str]) -> dict[str, str]:
    """What Compose tells of the files: something else where variables come from other files."""
    model = resolved(read, project, profiles)
    written = yaml.safe_load(read(project.compose_file))["services"]
    return {
        name: told[::-1] if "env_file" in written.get(name, {}) else told
        for name, told in hashes_of(model).items()
    }


def _normal(definition: Mapping[str, Any], project: Project) -> dict[str, Any]:
    service = dict(definition)
    dependencies = service.get("depends_on")
    if isinstance(dependencies, list):
        service["depends_on"] = {one: {"condition": "service_started"} for one in dependencies}
    if "volumes" in service:
        service["volumes"] = [_mount(one, project) for one in service["volumes"]]
    return service


def _with_env_files(service: dict[str, Any], read: Read, project: Project) -> dict[str, Any]:
    paths = service.pop("env_file", ())
    variables: dict[str, str] = {}
    for path in [paths] if isinstance(paths, str) else paths:
        variables |= _pairs(read(f"{project.directory}/{path}").decode())
    if variables:
        service["environment"] = variables | service.get("environment", {})
    return service


def _mount(entry: str, project: Project) -> dict[str, Any]:
    source, _, target = entry.partition(":")
    if source.startswith("./"):
        source = f"{project.directory}/{source[2:]}"
    kind = "bind" if source.startswith("/") else "volume"
    return {"type": kind, "source": source, "target": target}


def _is_active(definition: Mapping[str, Any], profiles: Sequence[str]) -> bool:
    own = definition.get("profiles", ())
    return not own or "*" in profiles or not set(own).isdisjoint(profiles)


def _default_of(services: Mapping[str, Any]) -> dict[str, None]:
    is_needed = any("network_mode" not in service for service in services.values())
    return {"default": None} if is_needed else {}


def _variables(read: Read, project: Project) -> dict[str, str]:
    try:
        text = read(project.env_file or f"{project.directory}/.env").decode()
    except KeyError:
        return {}
    return _pairs(text)


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def _merge(into: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
