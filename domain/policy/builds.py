"""Which images a project may run, and whether and from what it may build them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from domain.compose_model import Build, Place
from domain.policy.case import Case
from domain.policy.images import ImageName, image_fits
from domain.policy.violation import Finding, shown
from domain.source_paths import is_remote

_IMAGE_SCHEME: Final = "docker-image://"
_OWN_SCHEMES: Final = ("target:", "service:")
"""Another stage, another service of the project."""


def judge_images(case: Case) -> Iterator[Finding]:
    """Images that run, that are mounted, and that builds are given."""
    for service in case.model.services:
        if service.image is not None:
            place = service.place.at("image")
            is_built = service.build is not None
            yield from _judge_image(case, service.image, place, is_built=is_built)
        for mount in service.mounts:
            if mount.kind == "image":
                yield from _judge_image(case, mount.source, mount.place)
        if service.build is not None:
            yield from _judge_build(case, service.build)


def _judge_image(
    case: Case, reference: str, place: Place, *, is_built: bool = False
) -> Iterator[Finding]:
    images = case.policy.images
    image = ImageName.of(reference)
    if not image_fits(image, images.allow):
        what = f"names the image {shown(str(image))}"
        yield Finding("images.allow", place, what, image.repository)
    if images.digest_required and not image.digest and not is_built:
        what = f"names the image {shown(str(image))} without a digest"
        yield Finding("images.digest_required", place, what, needed=False)


def _judge_build(case: Case, build: Build) -> Iterator[Finding]:
    builds = case.policy.builds
    if not builds.allowed:
        yield Finding("builds.allowed", build.place, "is built on this host", needed=True)
    if build.ssh and not builds.ssh:
        what = "hands the host's SSH keys or agent to a build"
        yield Finding("builds.ssh", build.place.at("ssh"), what, needed=True)
    if is_remote(build.context) or is_remote(build.dockerfile):
        yield from _remote(case, build.place.at("context"))
    for _, context in build.additional_contexts:
        place = build.place.at("additional_contexts")
        if context.startswith(_IMAGE_SCHEME):
            yield from _judge_image(case, context.removeprefix(_IMAGE_SCHEME), place)
        elif is_remote(context):
            yield from _remote(case, place)


def _remote(case: Case, place: Place) -> Iterator[Finding]:
    if not case.policy.builds.remote_contexts:
        # What it names is not said: such addresses carry tokens.
        what = "is built from something that has to be fetched"
        yield Finding("builds.remote_contexts", place, what, needed=True)


def build_paths(build: Build) -> Iterator[tuple[Place, str, bool]]:
    """The paths of the host that a build reads or writes, and whether it only reads."""
    if not is_remote(build.context):
        yield build.place.at("context"), build.context, True
        if build.dockerfile and not is_remote(build.dockerfile):
            dockerfile = build.dockerfile
            path = dockerfile if dockerfile[0] in "/~" else f"{build.context}/{dockerfile}"
            yield build.place.at("dockerfile"), path, True
    for _, context in build.additional_contexts:
        place = build.place.at("additional_contexts")
        if context.startswith("oci-layout:"):
            yield place, context.partition(":")[2].removeprefix("//").partition("@")[0], True
        elif not is_remote(context) and not context.startswith(_OWN_SCHEMES):
            yield place, context, True
    for entry in build.cache:
        for option in entry.split(","):
            key, _, value = option.strip().partition("=")
            if key.strip().lower() in ("src", "dest"):
                yield build.place, value, False
