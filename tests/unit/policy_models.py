"""Shorthand for resolved models, and for what a policy says of them."""

from __future__ import annotations

from collections.abc import Mapping

from domain.compose_model import ComposeModel
from domain.policy import STANDARD, HostPlaces, Policy, Violation, judge
from domain.project import ProjectName

PROJECT = ProjectName("shop")
DIRECTORY = "/srv/projects/shop"
Document = Mapping[str, object]


def document(service: Document | None = None, **top: object) -> Document:
    """A model with the service `web`, whose image is nobody's concern here."""
    return {
        "name": PROJECT.compose_name,
        "services": {"web": {"image": "docker.io/library/nginx:1", **(service or {})}},
        **top,
    }


def violations(
    of: Document, policy: Policy = STANDARD, places: HostPlaces | None = None
) -> tuple[Violation, ...]:
    return judge(
        ComposeModel.from_document(of),
        policy,
        project=PROJECT,
        project_directory=DIRECTORY,
        places=places or HostPlaces(),
    )


def rules(of: Document, policy: Policy = STANDARD, places: HostPlaces | None = None) -> set[str]:
    """The rules that a model breaks."""
    return {violation.rule for violation in violations(of, policy, places)}


def bind(source: str, *, read_only: bool = False) -> Document:
    """A model that binds a path."""
    mount = {"type": "bind", "source": source, "target": "/mnt", "read_only": read_only}
    return document({"volumes": [mount]})


def local_volume(**options: str) -> Document:
    """A model with a volume of the local driver that is a mount."""
    return document(
        {"volumes": [{"type": "volume", "source": "data", "target": "/mnt"}]},
        volumes={"data": {"name": "shop_data", "driver_opts": options}},
    )
