"""What Compose must find in each project of the corpus. Written by hand, so that a test can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Expected:
    """Services by their names with a blank between; `by_profile` says all that one profile runs."""

    services: str
    by_profile: Mapping[str, str] = field(default_factory=dict)
    compose_files: str = ""
    """Those that it includes and extends."""
    unset: str = ""
    """Variables that nobody sets, and that Compose warns of."""
    standard: str = ""
    """The rules by which the policy `standard` refuses it, with no profile asked for."""
    standard_by_profile: Mapping[str, str] = field(default_factory=dict)
    """The rules that a profile adds to these."""


_AIRFLOW: Final = (
    "postgres redis airflow-webserver airflow-scheduler airflow-worker airflow-triggerer "
    "airflow-init"
)
_SENTRY: Final = (
    "smtp memcached redis postgres kafka clickhouse events-api events-consumer events-replacer "
    "web cron worker cleanup nginx"
)

EXPECTED: Final[Mapping[str, Expected]] = {
    "adguard": Expected("adguardhome"),
    "airflow": Expected(
        _AIRFLOW, {"debug": f"{_AIRFLOW} airflow-cli", "flower": f"{_AIRFLOW} flower"}
    ),
    "arr-stack": Expected(
        "gluetun qbittorrent prowlarr sonarr radarr",
        {"subtitles": "gluetun qbittorrent prowlarr sonarr radarr bazarr"},
        standard="containers.cap_add containers.devices binds.roots",
    ),
    "authentik": Expected("postgresql redis server worker", standard="containers.engine_socket"),
    "caddy": Expected("caddy app", unset="PWD", standard="containers.cap_add binds.roots"),
    "ci-docker-in-docker": Expected(
        "dind runner", standard="containers.privileged containers.security_opt binds.roots"
    ),
    "django-celery": Expected("web worker beat nginx db redis", standard="volumes.drivers"),
    "elasticsearch-kibana": Expected("certificates es01 kibana"),
    "ghost": Expected("ghost db"),
    "gitea-runner": Expected("server db runner", standard="containers.engine_socket"),
    "home-assistant": Expected(
        "homeassistant",
        {"esp": "homeassistant esphome"},
        standard=(
            "containers.privileged containers.host_network containers.devices "
            "containers.device_cgroup_rules binds.roots"
        ),
    ),
    "immich": Expected(
        "immich-server immich-machine-learning redis database",
        {
            "cpu": "immich-server immich-machine-learning redis database",
            "gpu": "immich-server immich-machine-learning-gpu redis database",
        },
        compose_files="hwaccel.ml.yml",
        standard_by_profile={"gpu": "containers.gpus"},
    ),
    "jellyfin": Expected(
        "jellyfin", standard="containers.host_network containers.devices binds.roots"
    ),
    "kafka": Expected(
        "kafka-1 kafka-2 kafka-3 create-topics",
        {"debug": "kafka-1 kafka-2 kafka-3 create-topics ui"},
    ),
    "keycloak": Expected("postgres keycloak"),
    "laravel": Expected("laravel.test mysql mailpit"),
    "loki": Expected("loki promtail grafana", standard="binds.roots"),
    "mailserver": Expected(
        "mailserver", standard="containers.cap_add containers.logging_drivers binds.roots"
    ),
    "mariadb-adminer": Expected("db adminer"),
    "minecraft": Expected("mc", {"backup": "mc backups"}),
    "minimal": Expected("hello"),
    "minio": Expected(
        "minio1 minio2 minio3 minio4 nginx",
        {"setup": "minio1 minio2 minio3 minio4 nginx create-buckets"},
    ),
    "mongodb-replica-set": Expected("mongo1 mongo2 mongo3 init-replica-set"),
    "monorepo": Expected(
        "web api worker db cache otel-collector",
        {"docs": "web api worker db cache otel-collector docs"},
        compose_files="infra/compose.yml observability/compose.yml",
    ),
    "n8n": Expected("postgres redis n8n n8n-worker"),
    "nextcloud": Expected("db redis app cron", standard="binds.roots"),
    "nfs-photos": Expected("photoprism mariadb", standard="containers.security_opt"),
    "nginx-proxy": Expected("nginx-proxy acme-companion blog", standard="containers.engine_socket"),
    "ollama": Expected(
        "ollama open-webui",
        {"models": "ollama open-webui pull-model"},
        standard="containers.gpus containers.runtimes",
    ),
    "paperless-ngx": Expected("broker db webserver gotenberg tika"),
    "pihole": Expected("pihole unbound", standard="containers.cap_add"),
    "plausible": Expected("mail plausible_db plausible_events_db plausible"),
    "portainer-agent": Expected(
        "agent",
        standard=(
            "containers.engine_socket containers.host_pid containers.host_ipc "
            "containers.host_uts containers.host_users containers.host_cgroup "
            "containers.security_opt binds.roots"
        ),
    ),
    "postgres": Expected("postgres"),
    "postgres-pgadmin": Expected("db pgadmin"),
    "prometheus-grafana": Expected(
        "prometheus alertmanager nodeexporter cadvisor grafana",
        standard=(
            "containers.privileged containers.host_pid containers.devices "
            "containers.engine_socket binds.roots"
        ),
    ),
    "rabbitmq": Expected("rabbitmq"),
    "rails": Expected(
        "migrate web sidekiq db redis", {"console": "migrate web sidekiq db redis console"}
    ),
    "redis": Expected("cache"),
    "restic-backup": Expected("backup prune", standard="binds.roots"),
    "sentry": Expected(_SENTRY, {"everything": f"{_SENTRY} relay"}),
    "shared-base": Expected(
        "gateway billing users db",
        compose_files="shared/common.yml",
        standard="binds.roots containers.cgroup_parent resources.oom_protection",
    ),
    "synapse": Expected(
        "synapse db",
        {"bridges": "synapse db signal-bridge", "all": "synapse db signal-bridge"},
        standard="binds.roots",
    ),
    "traefik-whoami": Expected("traefik whoami", standard="containers.engine_socket"),
    "uptime-kuma": Expected("uptime-kuma"),
    "vaultwarden": Expected("vaultwarden backup"),
    "watchtower": Expected(
        "watchtower socket-proxy", standard="containers.engine_socket binds.roots"
    ),
    "wireguard": Expected("wg-easy", standard="containers.cap_add binds.roots"),
    "wordpress": Expected("db wordpress", {"tools": "db wordpress wpcli"}),
    "zigbee2mqtt": Expected("mosquitto zigbee2mqtt", standard="containers.devices binds.roots"),
}
