"""A typed view of the resolved model: what Compose says it is going to do, before it does it.

The model is the JSON of `docker compose config --format json`, in which anchors, merge keys,
`extends`, `include` and variables are gone. Every equivalent spelling that is left gets one form
here, so that whoever judges a service looks in one place. Keys that are not known are kept by name.
"""

from __future__ import annotations

from domain.compose_model.build import Build
from domain.compose_model.limits import Limits
from domain.compose_model.model import ComposeModel
from domain.compose_model.mounts import Device, Mount, Port, is_path
from domain.compose_model.place import Place
from domain.compose_model.service import Service
from domain.compose_model.top_level import Network, SourceFile, Volume

__all__ = [
    "Build",
    "ComposeModel",
    "Device",
    "Limits",
    "Mount",
    "Network",
    "Place",
    "Port",
    "Service",
    "SourceFile",
    "Volume",
    "is_path",
]
