"""Which host this is, for whoever looks at a machine: also for root, whose file it is not. Blocking."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.identity.key_documents import MAX_BYTES
from adapters.identity.keys_on_disk import HOST_KEY_FILE
from adapters.private_file import open_private
from adapters.storage_errors import translated
from domain.errors import StorageUnavailable
from domain.identity import Membership


def look_at_membership(state_dir: Path) -> Membership | None:
    """What is pinned; None where there is no key, or one that is not enrolled. The key is not kept.

    Raises `StorageUnavailable` where it cannot be read, or makes no sense.
    """
    path = state_dir / HOST_KEY_FILE
    with translated(path, {}):
        try:
            with open_private(path, follow_links=False) as file:
                content = file.read(MAX_BYTES)
        except FileNotFoundError:
            return None
    # Without the cause, which may quote the secret.
    try:
        document = json.loads(content)
        host_id, key = document.get("host_id"), document.get("control_plane_key")
    except (ValueError, AttributeError, RecursionError):
        raise StorageUnavailable(f"{path} is damaged") from None
    return Membership(str(host_id), str(key)) if host_id else None
