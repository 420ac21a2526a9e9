"""What the API takes: shapes here, rules in the domain. Unknown fields are refused."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from domain.commands import DeployCompose, RegistryLogin
from domain.content import MAX_FILES, ExtraFile, env_file_of
from domain.deploy_options import PLAINLY, DeployOptions, PullPolicy
from domain.errors import InvalidInput
from domain.fleet.host import LONGEST_ENROLMENT_S, SHORTEST_ENROLMENT_S
from domain.fleet.job import LONGEST_TTL_S
from domain.fleet.labels import MAX_HOSTS_NAMED, MAX_LABELS, Labels, Selector
from domain.project import ComposeFile, ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES

COMPOSE = "services:\n  web:\n    image: nginx:${TAG}\n    ports: ['127.0.0.1:8080:80']\n"

AS_VARIABLES: Final = "variables of env"
AS_TEXT: Final = "text of env"
"""How the two shapes of `env` are told apart; no names of fields."""

Text = Annotated[str, Field(max_length=256)]
HostNameText = Annotated[
    Text,
    Field(
        description="Unique in the fleet, whatever its case",
        examples=["web-1"],
        json_schema_extra={"pattern": "^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"},
    ),
]
ProjectText = Annotated[
    Text,
    Field(
        examples=["blog"],
        json_schema_extra={"pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$"},
    ),
]
LabelMap = Annotated[
    dict[str, str],
    Field(
        max_length=MAX_LABELS,
        examples=[{"env": "prod"}],
        json_schema_extra={
            "propertyNames": {"pattern": "^[a-z0-9](?:[a-z0-9._/-]{0,61}[a-z0-9])?$"},
            "additionalProperties": {
                "type": "string",
                "pattern": "^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$",
            },
        },
    ),
]
"""The rules are the domain's, which says them better; the document says them for programs."""
Seconds = Annotated[float, Field(gt=0, le=LONGEST_TTL_S, allow_inf_nan=False)]


class Strict(BaseModel):
    """A body of which every field is known and has its own type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewHost(Strict):
    """A host to be, by enrolment or with a token."""

    name: HostNameText
    labels: LabelMap = Field(default_factory=dict)


class HostToEnrol(NewHost):
    """A host to be, and how long it may take to become one."""

    ttl_s: (
        Annotated[
            float,
            Field(ge=SHORTEST_ENROLMENT_S, le=LONGEST_ENROLMENT_S, allow_inf_nan=False),
        ]
        | None
    ) = Field(
        default=None,
        description="So long its token is good; without it, as CONTROL_PLANE_ENROLMENT_TTL says",
        examples=[3600],
    )


class HostChange(Strict):
    """What is to be different; what is missing stays."""

    name: HostNameText | None = None
    labels: LabelMap | None = Field(default=None, description="Replace all that are there")


class Waiting(Strict):
    """How long a command may take to be delivered, and to be carried out."""

    ttl_s: Seconds | None = Field(
        default=None,
        description="So long it waits for its host; what was not sent by then expires",
        examples=[3600],
    )
    deadline_s: Seconds | None = Field(
        default=None, description="So long it may take once its agent has it", examples=[600]
    )


class FileContent(Strict):
    """A file beside the compose file; one of the two contents."""

    content: str | None = Field(default=None, examples=["server { listen 80; }\n"])
    content_base64: str | None = Field(default=None, description="For what is not UTF-8")
    mode: Literal["0644", "0600", "0755"] = "0644"


class Login(Strict):
    """What a registry wants to hear; used for this one deployment."""

    username: str = Field(examples=["robot"])
    password: str = Field(json_schema_extra={"format": "password", "writeOnly": True})


class Options(Strict):
    """How a deployment is carried out; docs/deployments.md has the rules."""

    pull: Literal["missing", "always", "never"] = PLAINLY.pull.value
    wait: bool = PLAINLY.wait
    wait_timeout_s: float | None = Field(default=None, allow_inf_nan=False)
    remove_orphans: bool = PLAINLY.remove_orphans
    profiles: list[str] = Field(default_factory=list)
    auto_rollback: bool = PLAINLY.auto_rollback
    labels: dict[str, str] = Field(
        default_factory=dict, description="Notes on the revision", examples=[{"commit": "4ca26a0"}]
    )

    def as_domain(self) -> DeployOptions:
        """Raises `InvalidInput`."""
        return DeployOptions(
            pull=PullPolicy(self.pull),
            wait=self.wait,
            wait_timeout_s=self.wait_timeout_s,
            remove_orphans=self.remove_orphans,
            profiles=tuple(self.profiles),
            auto_rollback=self.auto_rollback,
            labels=tuple(sorted(self.labels.items())),
        )


def _kind_of_env(env: object) -> str:
    return AS_TEXT if isinstance(env, str) else AS_VARIABLES


Env = Annotated[
    Annotated[dict[str, str], Tag(AS_VARIABLES)] | Annotated[str, Tag(AS_TEXT)],
    Discriminator(_kind_of_env),
]


class Content(Waiting):
    """What a project is to consist of."""

    compose: str = Field(
        description="The compose file, as text",
        min_length=1,
        max_length=MAX_COMPOSE_FILE_BYTES,
        examples=[COMPOSE],
    )
    env: Env | None = Field(
        default=None,
        description="Variables, or the text of a .env; never shown again",
        examples=[{"TAG": "1.27"}],
    )
    files: dict[str, FileContent] = Field(
        default_factory=dict,
        description="By path, relative to the project's directory",
        max_length=MAX_FILES,
    )
    options: Options = Field(default_factory=Options)
    registry_auth: dict[str, Login] = Field(
        default_factory=dict, description="By registry; never shown again"
    )

    def deployment_of(self, project: ProjectName) -> DeployCompose:
        """Raises `InvalidInput`."""
        return DeployCompose(
            project,
            ComposeFile(self.compose.encode()),
            env=_env(self.env),
            files=tuple(sorted(_files(self.files), key=lambda one: one.path)),
            options=_options(self.options),
            registry_auth=tuple(
                RegistryLogin(registry, login.username, login.password)
                for registry, login in sorted(self.registry_auth.items())
            ),
        )


HostNames = Annotated[
    list[Annotated[str, Field(max_length=63)]],
    Field(max_length=MAX_HOSTS_NAMED, examples=[["web-1"]], description="Names or ids"),
]


class Target(Strict):
    """Which hosts are meant: those named, or all that have these labels."""

    hosts: HostNames = Field(default_factory=list)
    host_labels: LabelMap = Field(default_factory=dict)

    @property
    def is_given(self) -> bool:
        """Whether any host is meant."""
        return bool(self.hosts or self.host_labels)

    def selector(self) -> Selector:
        """Raises `InvalidInput`."""
        return Selector(hosts=tuple(dict.fromkeys(self.hosts)), labels=labels_of(self.host_labels))


class NewDeployment(Content, Target):
    """A project's content, and the hosts that are to run it."""

    project: ProjectText


class Redeployment(Waiting, Target):
    """The same content again; without hosts and labels, to the hosts that it was meant for."""


class Restart(Waiting):
    """Of these services, or of all."""

    services: list[str] = Field(default_factory=list, examples=[["web"]])


class Removal(Waiting):
    """Containers, networks, files and history."""

    volumes: bool = Field(default=False, description="The volumes too, with all data in them")


class Rollback(Waiting):
    """To a revision, or to the last good one before the wanted one."""

    revision: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(default=None, examples=[3])


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Raises `InvalidInput`."""
    return Labels.of(labels)


def _options(options: Options) -> DeployOptions:
    try:
        return options.as_domain()
    except InvalidInput as exc:
        raise InvalidInput(f"options.{exc.field}", exc.rule) from None


def _env(env: Mapping[str, str] | str | None) -> bytes | None:
    if env is None or isinstance(env, str):
        return None if env is None else env.encode()
    return env_file_of(dict(env))


def _files(files: Mapping[str, FileContent]) -> list[ExtraFile]:
    return [
        ExtraFile(path, _content(f"files.{path[:80]!r}", one), int(one.mode, 8))
        for path, one in files.items()
    ]


def _content(where: str, file: FileContent) -> bytes:
    if (file.content is None) == (file.content_base64 is None):
        raise InvalidInput(where, "must have either content or content_base64")
    if file.content is not None:
        return file.content.encode()
    assert file.content_base64 is not None
    try:
        content: bytes | None = base64.b64decode(file.content_base64, validate=True)
    except (binascii.Error, ValueError):
        content = None
    # Before Python 3.13, padding without end is decoded too.
    if content is None or len(file.content_base64) != (len(content) + 2) // 3 * 4:
        raise InvalidInput(f"{where}.content_base64", "is not valid base64")
    return content
