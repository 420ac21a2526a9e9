"""Prometheus: what is counted while the program runs, and what is looked up when somebody asks."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from application.control_plane.figures import Figures
from domain.fleet.job import FleetJobState

MEDIA_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
PROTOCOLS: Final = (1, 2)

_DELIVERY_S: Final = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)
_REQUEST_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE"})


class Metrics:
    """Labels have values from short lists alone: routes by their templates, methods, states."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._online = Gauge(
            "instadeploy_agents_online",
            "Agents that are connected, by protocol version",
            ["protocol"],
            registry=self._registry,
        )
        self._jobs = Gauge("instadeploy_jobs", "Jobs, by state", ["state"], registry=self._registry)
        self._counted = Gauge(
            "instadeploy_jobs_counted_seconds_ago",
            "Age of the figures about jobs, which are not counted for each who asks",
            registry=self._registry,
        )
        self._waiting = Gauge(
            "instadeploy_oldest_waiting_job_seconds",
            "Age of the oldest job that was never sent; 0 without one",
            registry=self._registry,
        )
        self._followers = Gauge(
            "instadeploy_followers", "Requests that follow jobs", registry=self._registry
        )
        self._delivery = Histogram(
            "instadeploy_delivery_seconds",
            "From a request to its agent's word that it has the job",
            buckets=_DELIVERY_S,
            registry=self._registry,
        )
        self._requests = Counter(
            "instadeploy_http_requests",
            "Requests, by route and status",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._request_s = Histogram(
            "instadeploy_http_request_seconds",
            "Until the response begins",
            ["route"],
            buckets=_REQUEST_S,
            registry=self._registry,
        )

    def delivered(self, seconds: float) -> None:
        """A job has arrived at its agent."""
        self._delivery.observe(seconds)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is a template, or empty where there is none."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def exposition(self, figures: Figures) -> bytes:
        """All of it, as Prometheus reads it."""
        for protocol in PROTOCOLS:
            self._online.labels(str(protocol)).set(figures.online.get(protocol, 0))
        for state in FleetJobState:
            self._jobs.labels(state.value).set(figures.jobs.get(state, 0))
        self._counted.set(figures.counted_s_ago)
        self._waiting.set(figures.waiting_s)
        self._followers.set(figures.followers)
        return generate_latest(self._registry)
