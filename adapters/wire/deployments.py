"""What a deployment carries on the wire, in protocol v1 and v2 alike.

Beside `project_name` and `compose_file_base64` everything is optional: a payload of the first agents
means what it always meant. What the values must satisfy is the domain's to say.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from adapters.wire.fields import Fields, json_type
from domain.commands import DeployCompose, RegistryLogin
from domain.content import ENV_FILE_NAME, FILE_MODES, MAX_CONTENT_BYTES, ExtraFile, env_file_of
from domain.deploy_options import PLAINLY, DeployOptions, PullPolicy, options_document
from domain.errors import InvalidInput
from domain.project import ComposeFile, ProjectName
from domain.validation import MAX_COMPOSE_FILE_BYTES

COMPOSE_FIELD = "compose_file_base64"

_OCTAL = re.compile(r"0?[0-7]{3}")


def deployment_from(payload: Mapping[str, object]) -> DeployCompose:
    """The deployment that a payload asks for; raises `InvalidInput` that names the field."""
    fields = Fields(payload)
    return DeployCompose(
        project_name(payload),
        _compose_file(payload),
        env=_env(payload),
        files=_files(fields),
        options=_options(fields),
        registry_auth=_registry_auth(fields),
    )


def deployment_document(command: DeployCompose) -> dict[str, object]:
    """What a payload has to carry to ask for it: `deployment_from` the other way round."""
    document: dict[str, object] = {
        "project_name": command.project.value,
        COMPOSE_FIELD: _encoded(command.file.content),
    }
    if command.env is not None:
        document["env"] = command.env.decode()
    if command.files:
        document["files"] = {
            extra.path: {"content_base64": _encoded(extra.content), "mode": f"{extra.mode:04o}"}
            for extra in command.files
        }
    if command.registry_auth:
        document["registry_auth"] = {
            login.registry: {"username": login.username, "password": login.password}
            for login in command.registry_auth
        }
    return document | options_document(command.options)


def project_name(payload: Mapping[str, object]) -> ProjectName:
    """The field that nearly every payload has."""
    return ProjectName(_text(payload, "project_name"))


def _text(payload: Mapping[str, object], field: str) -> str:
    if field not in payload:
        raise InvalidInput(field, "is missing from the payload")
    return Fields(payload).text(field)


def _compose_file(payload: Mapping[str, object]) -> ComposeFile:
    encoded = _text(payload, COMPOSE_FIELD)
    if len(encoded) > _longest_base64(MAX_COMPOSE_FILE_BYTES):
        raise InvalidInput(
            COMPOSE_FIELD,
            f"the compose file is larger than {MAX_COMPOSE_FILE_BYTES} bytes (1 MiB)",
        )
    return ComposeFile(_decoded(COMPOSE_FIELD, encoded))


def _env(payload: Mapping[str, object]) -> bytes | None:
    """An object of variables, or the text of a `.env`, which is taken as it is."""
    env = payload.get("env")
    match env:
        case None:
            return None
        case str():
            try:
                return env.encode()
            except UnicodeEncodeError:
                raise InvalidInput("env", "is not Unicode text") from None
        case Mapping():
            for name, value in env.items():
                if not isinstance(value, str):
                    raise InvalidInput(
                        f"env.{str(name)[:80]}", f"must be a string, not {json_type(value)}"
                    )
            try:
                return env_file_of(dict(env))
            except UnicodeEncodeError:
                raise InvalidInput("env", "is not Unicode text") from None
        case _:
            raise InvalidInput(
                "env",
                f"must be an object of strings, or the text of a {ENV_FILE_NAME} file, "
                f"not {json_type(env)}",
            )


def _files(fields: Fields) -> tuple[ExtraFile, ...]:
    if fields.document.get("files") is None:
        return ()
    found = []
    size = 0
    for path, sent in fields.objects_by_id("files"):
        where = f"files.{path[:80]!r}"
        entry = Fields(sent.document, f"{where}.")
        encoded = entry.text("content_base64")
        size += len(encoded)
        if size > _longest_base64(MAX_CONTENT_BYTES):
            raise InvalidInput("files", f"are more than {MAX_CONTENT_BYTES} bytes (4 MiB)")
        content = _decoded(f"{where}.content_base64", encoded)
        found.append(ExtraFile(path, content, _mode(where, entry)))
    return tuple(sorted(found, key=lambda extra: extra.path))


def _mode(where: str, entry: Fields) -> int:
    """Octal digits in a string, as chmod takes them: JSON has no octal numbers."""
    text = entry.optional("mode", entry.text)
    if text is None:
        return FILE_MODES[0]
    if not _OCTAL.fullmatch(text):
        raise InvalidInput(f"{where}.mode", 'must be octal digits such as "0644"')
    return int(text, 8)


def _options(fields: Fields) -> DeployOptions:
    return DeployOptions(
        pull=fields.given("pull", lambda name: fields.word(name, PullPolicy)) or PLAINLY.pull,
        wait=_flag(fields, "wait", default=PLAINLY.wait),
        wait_timeout_s=fields.given("wait_timeout_s", fields.positive),
        remove_orphans=_flag(fields, "remove_orphans", default=PLAINLY.remove_orphans),
        profiles=fields.given("profiles", fields.texts) or (),
        auto_rollback=_flag(fields, "auto_rollback", default=PLAINLY.auto_rollback),
        labels=_labels(fields),
        requested_by=fields.given("requested_by", fields.text) or "",
    )


def _labels(fields: Fields) -> tuple[tuple[str, str], ...]:
    if fields.document.get("labels") is None:
        return ()
    labels = fields.nested("labels")
    return tuple(sorted((name, labels.text(name)) for name in labels.document))


def _registry_auth(fields: Fields) -> tuple[RegistryLogin, ...]:
    if fields.document.get("registry_auth") is None:
        return ()
    found = []
    for registry, sent in sorted(fields.objects_by_id("registry_auth"), key=lambda one: one[0]):
        login = Fields(sent.document, f"registry_auth.{registry[:80]!r}.")
        found.append(RegistryLogin(registry, login.text("username"), login.text("password")))
    return tuple(found)


def _flag(fields: Fields, name: str, *, default: bool) -> bool:
    given = fields.given(name, fields.flag)
    return default if given is None else given


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _decoded(field: str, encoded: str) -> bytes:
    try:
        content: bytes | None = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        content = None
    # Before Python 3.13, padding without end is decoded too.
    if content is None or len(encoded) != (len(content) + 2) // 3 * 4:
        raise InvalidInput(field, "is not valid base64")
    return content


def _longest_base64(size: int) -> int:
    return 4 * (size // 3 + 1)
