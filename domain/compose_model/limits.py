"""What a service may use of the host's memory, processors and processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.compose_model.amounts import size_of
from domain.compose_model.place import Place

_DEFAULT_PERIOD_US: Final = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit. Where one is set in two ways, the wider one is taken for the truth."""

    memory_bytes: int | None
    cpus: float | None
    pids: int | None
    shields_from_oom: bool
    """The kernel is told to end something else when memory runs out."""

    @classmethod
    def read(cls, service: Place) -> Limits:
        """From the keys of the service and from `deploy.resources.limits`, which mean the same."""
        limits = service.at("deploy").at("resources").at("limits")
        memory = (size_of(service.at("mem_limit")), size_of(limits.at("memory")))
        cpus = (service.at("cpus").number(), limits.at("cpus").number(), _quota(service))
        pids = (service.at("pids_limit").number(), limits.at("pids").number())
        score = service.at("oom_score_adj").number() or 0
        most_pids = _widest(*pids)
        most_memory = _widest(*memory)
        return cls(
            memory_bytes=None if most_memory is None else int(most_memory),
            cpus=_widest(*cpus),
            pids=None if most_pids is None else int(most_pids),
            shields_from_oom=service.at("oom_kill_disable").flag() or score < 0,
        )


def _widest(*limits: float | None) -> float | None:
    """Zero and less mean no limit to the engine."""
    return max((limit for limit in limits if limit is not None and limit > 0), default=None)


def _quota(service: Place) -> float | None:
    quota = service.at("cpu_quota").number()
    return (
        None if quota is None else quota / (service.at("cpu_period").number() or _DEFAULT_PERIOD_US)
    )
