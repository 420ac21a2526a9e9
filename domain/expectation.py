"""What a resolved model leads one to expect of the engine.

The label `com.docker.compose.config-hash` that Compose gives a container, and the hash that
`docker compose config --hash '*'` prints, seen with 2.26:

- They are equal for a service with variables (also from `.env`), with a build, from several files
  with overrides, `extends` and anchors, with profiles, with replicas, configs, secrets, links and
  dependencies. Replicas share one hash.
- They differ for a service with `env_file`, unless the hash is asked of the *resolved* model: what
  `config --format json` prints, fed to a second call with `-f`, the same project directory and the
  same profiles. Then they are equal. One call gives the model or the hashes: with both flags, it
  prints the hashes alone. Each is about 100 ms, and needs no engine.
- They differ, in both, for one that names another service in `network_mode`, `pid`, `ipc` or
  `volumes_from`: Compose puts the other container's id there before it hashes. These cannot be
  compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.compose_model import ComposeModel, Service
from domain.verification import ExpectedService

_COMPLETED: Final = "service_completed_successfully"


def expected_services(
    model: ComposeModel, *, hashes: Mapping[str, str], image_ids: Mapping[str, str]
) -> tuple[ExpectedService, ...]:
    """What the active services, which are all that a resolved model holds, are to be.

    `hashes` and `image_ids` are by service; what is not there is not compared.
    """
    awaited = {
        other
        for service in model.services
        for other, condition in service.depends_on
        if condition == _COMPLETED
    }
    return tuple(
        ExpectedService(
            name=service.name,
            replicas=service.replicas,
            container_name=service.container_name,
            image_id=image_ids.get(service.name),
            config_hash=hashes.get(service.name) if keeps_its_hash(service) else None,
            has_healthcheck=service.has_healthcheck,
            completes=service.name in awaited,
        )
        for service in model.services
        # Compose starts a program of the host for these, and no container.
        if service.provider is None
    )


def keeps_its_hash(service: Service) -> bool:
    """Whether its containers carry the hash that Compose gives for the resolved model."""
    others = (service.network_mode, service.pid, service.ipc)
    return not service.volumes_from and not any(one.startswith("service:") for one in others)
