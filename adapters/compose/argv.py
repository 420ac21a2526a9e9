"""The argument lists of `docker compose`. Pure: a list of tokens, never a string for a shell.

No value can be read as an option: names begin with a letter or digit, paths with a slash.
Flags: https://docs.docker.com/reference/cli/docker/compose/
"""

from __future__ import annotations

from domain.project import Project

_COMPOSE = ("compose",)


def version() -> tuple[str, ...]:
    """Print the version of Compose and nothing else."""
    return (*_COMPOSE, "version", "--short")


def config_quiet(project: Project) -> tuple[str, ...]:
    """Judge the compose file."""
    return (*_for(project), "config", "--quiet")


def up(project: Project) -> tuple[str, ...]:
    """Create, recreate and start what the compose file says, and return."""
    return (*_for(project), "up", "--detach")


def down(project: Project) -> tuple[str, ...]:
    """Stop and remove containers and networks."""
    return (*_for(project), "down")


def ps(project: Project) -> tuple[str, ...]:
    """List all containers, exited ones too, as JSON: an object a line, or before 2.21 an array."""
    return (*_for(project), "ps", "--all", "--format", "json")


def _for(project: Project) -> tuple[str, ...]:
    # -p, because a top-level `name:` in the file would take over another project; -f, because a
    # stray compose.yaml beside it would win over it.
    return (
        *_COMPOSE,
        "--ansi",
        "never",
        "--progress",
        "plain",
        "-p",
        project.name.compose_name,
        "--project-directory",
        project.directory,
        "-f",
        project.compose_file,
    )
