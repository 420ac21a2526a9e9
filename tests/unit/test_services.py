"""The status of a project in words."""

from __future__ import annotations

from dataclasses import replace

from domain.project import ProjectName
from domain.services import PublishedPort, ServiceContainer, describe_services

BLOG = ProjectName("blog")
WEB = ServiceContainer(
    service="web",
    container="blog-web-1",
    state="running",
    health="healthy",
    image="nginx:1.27",
    published_ports=(
        PublishedPort("0.0.0.0", 8080, 80, "tcp"),
        PublishedPort("::", 8080, 80, "tcp"),
    ),
    exit_code=None,
)
MIGRATE = ServiceContainer("migrate", "blog-migrate-1", "exited", "", "blog:1", (), 3)


def test_a_project_without_containers_is_stopped() -> None:
    assert describe_services(BLOG, []) == "Project 'blog' has no containers: it is stopped."


def test_each_container_has_a_line_and_the_columns_are_aligned() -> None:
    assert describe_services(BLOG, [MIGRATE, WEB]) == (
        "Project 'blog': 1 of 2 containers running.\n"
        "  migrate  exited with exit code 3  blog:1\n"
        "  web      running (healthy)  nginx:1.27  0.0.0.0:8080->80/tcp  [::]:8080->80/tcp"
    )


def test_an_exit_code_of_0_is_said_too() -> None:
    text = describe_services(BLOG, [replace(MIGRATE, exit_code=0)])
    assert "exited with exit code 0" in text


def test_only_running_containers_count_as_running() -> None:
    states = ["running", "restarting", "paused", "created", "exited", "dead"]
    text = describe_services(BLOG, [replace(WEB, state=state) for state in states])
    assert text.startswith("Project 'blog': 1 of 6 containers running.")
