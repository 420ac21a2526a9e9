"""The argument lists of `docker compose`. Pure: a list of tokens, never a string for a shell.

No value can be read as an option: names begin with a letter or digit, paths with a slash.
Flags: https://docs.docker.com/reference/cli/docker/compose/
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from application.ports.compose_executor import AS_IT_IS, ComposeOptions
from domain.project import Project, ProjectName

ALL_PROFILES: Final = ("*",)
STDIN: Final = "-"
_COMPOSE = ("compose",)


def variables(directory: str) -> dict[str, str]:
    """What Compose finds in its environment beside what is the same for all projects.

    People write `$PWD/data` for what lies beside their compose file; without it that is `/data`.
    """
    return {"PWD": directory}


def version() -> tuple[str, ...]:
    """Print the version of Compose and nothing else."""
    return (*_COMPOSE, "version", "--short")


def config_json(project: Project, profiles: Sequence[str]) -> tuple[str, ...]:
    """Judge the compose file, and print what it amounts to."""
    return (*_for(project, profiles), "config", "--format", "json")


def config_hashes(project: Project, profiles: Sequence[str]) -> tuple[str, ...]:
    """Print a line for each service: its name and the hash of its configuration."""
    return (*_for(project, profiles), "config", "--hash", "*")


def hashes_of_model(name: ProjectName, directory: str) -> tuple[str, ...]:
    """The same of a resolved model, which comes on stdin.

    Whatever its profiles are, they chose it. Variables that it has no value for have none: those of a
    `.env` in the directory, which may be another revision's, must not get in.
    """
    model = Project(name, directory, STDIN, env_file=os.devnull)
    return (*_for(model, ALL_PROFILES), "config", "--hash", "*")


def login(registry: str, docker_config: str) -> tuple[str, ...]:
    """Try the credentials that the configuration holds for the registry; asks nobody."""
    return ("--config", docker_config, "login", registry)


def pull(project: Project, options: ComposeOptions) -> tuple[str, ...]:
    """Fetch images, but for those that are to be built."""
    return (*_for(project, options.profiles), "pull", "--ignore-buildable", *options.services)


def build(project: Project, options: ComposeOptions) -> tuple[str, ...]:
    """Build images."""
    return (*_for(project, options.profiles), "build", *options.services)


def up(project: Project, options: ComposeOptions = AS_IT_IS) -> tuple[str, ...]:
    """Create, recreate and start what the compose file says, and return.

    Images were pulled and built before: a pull that fails half-way through `up` would leave a
    project half replaced.
    """
    orphans = ("--remove-orphans",) if options.remove_orphans else ()
    return (
        *_for(project, options.profiles),
        "up",
        "--detach",
        "--no-build",
        "--pull",
        "never",
        *orphans,
    )


def unpause(_project: Project, options: ComposeOptions) -> tuple[str, ...]:
    """Let paused containers go on.

    `docker compose unpause` gives up at the first one that is not paused, and another may still be
    (seen with 2.26).
    """
    return ("unpause", *options.containers)


def restart(project: Project, options: ComposeOptions) -> tuple[str, ...]:
    """Stop and start containers as they are."""
    return (*_for(project, options.profiles or ALL_PROFILES), "restart", *options.services)


def down(project: Project, options: ComposeOptions = AS_IT_IS) -> tuple[str, ...]:
    """Stop and remove containers and networks, of all profiles."""
    orphans = ("--remove-orphans",) if options.remove_orphans else ()
    return (*_for(project, ALL_PROFILES), "down", *orphans)


def remove(project: Project, _options: ComposeOptions) -> tuple[str, ...]:
    """Stop and remove everything that is the project's, its volumes too."""
    return (*_for(project, ALL_PROFILES), "down", "--volumes", "--remove-orphans")


def _for(project: Project, profiles: Sequence[str] = ()) -> tuple[str, ...]:
    # -p, because a top-level `name:` in the file would take over another project; -f, because a
    # stray compose.yaml beside it would win over it.
    env_file = ("--env-file", project.env_file) if project.env_file else ()
    files = (project.compose_file, *project.overrides)
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
        *env_file,
        *(token for file in files for token in ("-f", file)),
        *(token for profile in profiles for token in ("--profile", profile)),
    )
