"""What is said where a program is started without the extra that it needs."""

from __future__ import annotations


def missing_extra(program: str, extra: str, error: ModuleNotFoundError) -> str:
    """A sentence for people: the wheel alone has the agent's libraries, and not all that others need.

    No package of a registry is named: one that is called like ours there would not be ours.
    """
    return (
        f"{program}: the extra '{extra}' is not installed here (there is no module '{error.name}'): "
        f"pip install --require-hashes -r requirements/{extra}.lock, in this environment, or in a "
        "checkout: make venv"
    )
