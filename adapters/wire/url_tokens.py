"""Tokens in URLs, which end up in logs, histories and proxies: who has sent one there has to replace it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote

from domain.fleet.access import TOKEN_PREFIXES

_SECRET_NAMES: Final = re.compile(
    r"(?:token|secret|password|passwd|apikey|authorization|bearer|credentials?)$"
    r"|(?:^|[_-])(?:key|auth)$"
)
"""Ends of the names under which people put what is secret."""
_OUR_TOKEN: Final = re.compile(rf"(?:{'|'.join(TOKEN_PREFIXES)})[A-Za-z0-9_-]{{20,}}")


def has_token(path: str, query: str) -> bool:
    """Whether a URL has a token in it: one of ours anywhere, or a parameter that is called like one.

    Both parts as they came, with `%` and all.
    """
    if _OUR_TOKEN.search(unquote(f"{path}?{query}")):
        return True
    names = (name for name, _ in parse_qsl(query, keep_blank_values=True))
    return any(_SECRET_NAMES.search(name.strip().lower()) for name in names)
