"""What containers must promise not to exceed, and keys that nobody here can judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from domain.compose_model import ComposeModel, Place, Service
from domain.policy.case import Case
from domain.policy.policy import ACCEPT
from domain.policy.violation import Finding

_MIB: Final = 1024 * 1024


def judge_resources(case: Case) -> Iterator[Finding]:
    """Each service that becomes a container."""
    for service in case.model.services:
        if service.provider is None:
            yield from _required(case, service)
            yield from _bounded(case, service)
            if service.limits.shields_from_oom and not case.policy.resources.oom_protection:
                what = "asks to be spared when the host runs out of memory"
                yield Finding("resources.oom_protection", service.place, what, needed=True)


def _required(case: Case, service: Service) -> Iterator[Finding]:
    limits, resources = service.limits, case.policy.resources
    for rule, is_required, limit, of_what in (
        ("memory_required", resources.memory_required, limits.memory_bytes, "memory"),
        ("cpus_required", resources.cpus_required, limits.cpus, "processors"),
        ("pids_required", resources.pids_required, limits.pids, "processes"),
    ):
        if is_required and limit is None:
            what = f"sets no limit to its {of_what}"
            yield Finding(f"resources.{rule}", service.place, what, needed=False)


def _bounded(case: Case, service: Service) -> Iterator[Finding]:
    limits, resources = service.limits, case.policy.resources
    most = resources.max_memory_mb
    if most and (limits.memory_bytes is None or limits.memory_bytes > most * _MIB):
        wanted = 0 if limits.memory_bytes is None else -(-limits.memory_bytes // _MIB)
        what = f"may use {f'{wanted} MB of' if wanted else 'all'} memory"
        yield Finding("resources.max_memory_mb", service.place, what, float(wanted))
    if resources.max_cpus and (limits.cpus is None or limits.cpus > resources.max_cpus):
        wanted_cpus = limits.cpus or 0.0
        what = f"may use {f'{wanted_cpus:g}' if wanted_cpus else 'all'} processors"
        yield Finding("resources.max_cpus", service.place, what, wanted_cpus)


def judge_unknown(case: Case) -> Iterator[Finding]:
    """Keys that a later Compose may act on, and that this agent has no rule for."""
    if case.policy.unknown_keys == ACCEPT:
        return
    for key in unknown_keys(case.model):
        what = "is a key that this agent has no rule for"
        yield Finding("unknown_keys", Place(None, key), what, ACCEPT)


def unknown_keys(model: ComposeModel) -> tuple[tuple[str, ...], ...]:
    """The paths of all keys that are kept by name alone."""
    found = list(model.unknown)
    for service in model.services:
        found += service.unknown
        found += service.build.unknown if service.build is not None else ()
    sections = (model.networks, model.volumes, model.configs, model.secrets)
    found += [key for section in sections for entry in section for key in entry.unknown]
    return tuple(found)
