"""The bill of materials of a single file, as CycloneDX JSON.

The same file has the same bill: it has no time and no random serial number.
"""

from __future__ import annotations

import hashlib
import json
from email.message import Message
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.building.stamp import Stamp

SPEC_VERSION: Final = "1.6"

Described = dict[str, Any]


def bill_of_materials(
    target: Path, ours: Path, theirs: list[Path], platforms: tuple[str, ...], stamp: Stamp
) -> Described:
    """What is in `target`, which was made of these wheels."""
    agent = _metadata(ours)
    by_name: dict[str, list[Path]] = {}
    for wheel in sorted(theirs):
        by_name.setdefault(canonicalize_name(_metadata(wheel)["Name"]), []).append(wheel)
    components = [_component(name, wheels) for name, wheels in sorted(by_name.items())]
    pex = _plain("pex", metadata.version("pex"))
    described_agent = {
        **_plain("instadeploy", agent["Version"]),
        "type": "application",
        "name": "instadeploy-agent",
        "hashes": [_hash(target)],
        "properties": [
            {"name": "instadeploy:commit", "value": stamp.commit or "unknown"},
            {"name": "instadeploy:dirty", "value": str(stamp.is_dirty).lower()},
            *({"name": "instadeploy:platform", "value": name} for name in platforms),
        ],
    }
    # It does not come from where packages come from.
    del described_agent["purl"]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {"component": described_agent},
        # Its runtime is what starts the file, and unpacks it.
        "components": [*components, pex],
        "dependencies": [
            {
                "ref": described_agent["bom-ref"],
                "dependsOn": sorted([*_needs(ours, components), pex["bom-ref"]]),
            },
            *(
                {"ref": one["bom-ref"], "dependsOn": _needs(by_name[one["name"]][0], components)}
                for one in components
            ),
            {"ref": pex["bom-ref"], "dependsOn": []},
        ],
    }


def written(bill: Described) -> str:
    """The bill as text."""
    return json.dumps(bill, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _component(name: str, wheels: list[Path]) -> Described:
    about = _metadata(wheels[0])
    hashes = sorted((_hash(wheel) for wheel in wheels), key=lambda one: one["content"])
    component = {**_plain(name, about["Version"]), "hashes": hashes}
    if licenses := _licenses(about):
        component["licenses"] = licenses
    # Which of the hashes is which: a distribution with compiled code has a wheel for each target.
    component["components"] = [
        {"type": "file", "name": wheel.name, "hashes": [_hash(wheel)]} for wheel in wheels
    ]
    return component


def _plain(name: str, version: str) -> Described:
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _licenses(about: Message) -> list[Described]:
    if expression := about["License-Expression"]:
        return [{"expression": expression}]
    prefix = "License :: OSI Approved :: "
    named = [one for one in about.get_all("Classifier", []) if one.startswith(prefix)]
    if named:
        return [{"license": {"name": one.removeprefix(prefix)}} for one in named]
    # Some put the whole text there.
    licence = about["License"]
    return [{"license": {"name": licence}}] if licence and "\n" not in licence else []


def _needs(wheel: Path, components: list[Described]) -> list[str]:
    """Those of the components that it asks for, but for its extras."""
    asked = [Requirement(text) for text in _metadata(wheel).get_all("Requires-Dist", [])]
    names = {canonicalize_name(one.name) for one in asked if "extra" not in str(one.marker or "")}
    return [one["bom-ref"] for one in components if one["name"] in names]


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (path,) = (
            name
            for name in archive.namelist()
            if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        return HeaderParser().parsestr(archive.read(path).decode())


def _hash(path: Path) -> Described:
    return {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}
