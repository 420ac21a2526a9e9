"""A host's policy: what any control plane may ask of this host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final

from domain.policy.sections import (
    Binds,
    Builds,
    Commands,
    Containers,
    Images,
    Networks,
    Ports,
    Projects,
    Resources,
    Volumes,
)

REFUSE: Final = "refuse"
ACCEPT: Final = "accept"
ANY: Final = frozenset({"*", "**"})


@dataclass(frozen=True, slots=True)
class Policy:
    """Set by the host's owner, in a file that no message can change."""

    name: str
    unknown_keys: str
    """`refuse` or `accept`: keys of a compose file that this agent does not know."""
    commands: Commands
    projects: Projects
    images: Images
    ports: Ports
    binds: Binds
    containers: Containers
    builds: Builds
    networks: Networks
    volumes: Volumes
    resources: Resources

    @property
    def digest(self) -> str:
        """What tells two policies apart, whatever they are called: SHA-256 in hex."""
        decisions = asdict(self)
        del decisions["name"]
        return hashlib.sha256(json.dumps(decisions, sort_keys=True).encode()).hexdigest()

    def warnings(self) -> tuple[str, ...]:
        """A sentence if what it allows makes whoever commands this agent root on this host."""
        grants = self._grants_of_root()
        if not grants:
            return ()
        warning = (
            f"the host's policy ({self.name}) lets whoever commands this agent become root on this "
            f"host, through {', '.join(grants)}; a stricter one is written into "
            "AGENT_POLICY_FILE, see docs/policy.md"
        )
        return (warning,)

    def _grants_of_root(self) -> tuple[str, ...]:
        containers = self.containers
        grants = {
            "[containers] privileged": containers.privileged,
            "[containers] engine_socket": containers.engine_socket,
            "[containers] host_pid": containers.host_pid,
            "[containers] cap_add": not _DANGEROUS.isdisjoint(containers.cap_add),
            "[containers] devices": not ANY.isdisjoint(containers.devices),
            "[containers] device_cgroup_rules": containers.device_cgroup_rules,
            "[containers] providers": not ANY.isdisjoint(containers.providers),
            "[binds] roots": "/" in self.binds.roots,
        }
        return tuple(grant for grant, is_given in grants.items() if is_given)


_DANGEROUS: Final = {
    "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF",
}  # fmt: skip
