"""What was built from which commit. A build writes this module anew, in its copy of the sources."""

from __future__ import annotations

from typing import Final

COMMIT: Final[str | None] = None
"""None in a checkout; empty where the build did not find out."""
IS_DIRTY: Final[bool] = False
DEPENDENCIES: Final[tuple[str, ...]] = ()
"""What is locked, as name==version."""
