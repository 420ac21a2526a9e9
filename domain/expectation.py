"""What a resolved model leads one to expect of the engine.

The label `com.docker.compose.config-hash` that Compose gives a container, and the hash that
`docker compose config --hash '*'` prints, seen with 2.26:

- They are equal for a service with variables (also from `.env`), with a build, from several files
  with overrides, `extends` and anchors, with profiles, with replicas, configs, secrets, links and
  dependencies. Replicas share one hash.
- They differ for a service with `env_file`, unless the hash is asked of the *resolved* model: what
  `config --format json` prints, fed to a second call with `-f`, the same project directory and its
  profiles. Then they are equal, also where the model was resolved in another directory and the paths
  in it were replaced, and for those of the first kind. That second call must not find an `.env` in
  the directory: a variable that the model has no value for would get one. One call gives the model or
  the hashes: with both flags, it prints the hashes alone. Each is about 100 ms, and needs no engine.
- They differ, in both, for one that names another service in `network_mode`, `pid`, `ipc` or
  `volumes_from`: Compose puts the other container's id there before it hashes. These cannot be
  compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.compose_model import ComposeModel, Place, Service
from domain.verification import ExpectedService

COMPLETES_LABEL: Final = "instadeploy.completes"
"""`true` on a service says that it is meant to end, though no other one waits for that."""
_COMPLETED: Final = "service_completed_successfully"


def expected_services(
    model: ComposeModel, *, hashes: Mapping[str, str], image_ids: Mapping[str, str]
) -> tuple[ExpectedService, ...]:
    """What the active services, which are all that a resolved model holds, are to be.

    `hashes` and `image_ids` are by service; what is not there is not compared. Raises `InvalidInput`
    as `completing` does.
    """
    ends = completing(model)
    return tuple(
        ExpectedService(
            name=service.name,
            replicas=service.replicas,
            container_name=service.container_name,
            image_id=image_ids.get(service.name),
            config_hash=hashes.get(service.name) if keeps_its_hash(service) else None,
            has_healthcheck=service.has_healthcheck,
            completes=service.name in ends,
        )
        for service in model.services
        # Compose starts a program of the host for these, and no container.
        if service.provider is None
    )


def completing(model: ComposeModel) -> frozenset[str]:
    """The services that are to exit with 0: others wait for that, or their label says so.

    Raises `InvalidInput` for a label that says neither `true` nor `false`.
    """
    awaited = {
        other
        for service in model.services
        for other, condition in service.depends_on
        if condition == _COMPLETED
    }
    return frozenset(awaited | {one.name for one in model.services if _is_meant_to_end(one)})


def _is_meant_to_end(service: Service) -> bool:
    labels = service.place.at("labels")
    said = dict(labels.pairs()).get(COMPLETES_LABEL, "false")
    if said not in ("true", "false"):
        place = Place(said, (*labels.path, COMPLETES_LABEL))
        raise place.wrong('"true" or "false"')
    return said == "true"


def keeps_its_hash(service: Service) -> bool:
    """Whether its containers carry the hash that Compose gives for the resolved model."""
    others = (service.network_mode, service.pid, service.ipc)
    return not service.volumes_from and not any(one.startswith("service:") for one in others)
