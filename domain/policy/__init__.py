"""The host's policy: what any control plane may ask of this host, and what it says to more.

It is judged on the resolved model, on the host, before every command that applies one. Whatever
spellings lead to one thing hit one rule. A rule's name is its key in the policy file.
"""

from __future__ import annotations

from domain.policy.binds import HostPath, host_paths
from domain.policy.case import HostPlaces
from domain.policy.document import policy_from_document
from domain.policy.judging import judge, judge_command
from domain.policy.policy import Policy
from domain.policy.presets import PERMISSIVE, PRESETS, STANDARD, STRICT
from domain.policy.violation import Violation

__all__ = [
    "PERMISSIVE",
    "PRESETS",
    "STANDARD",
    "STRICT",
    "HostPath",
    "HostPlaces",
    "Policy",
    "Violation",
    "host_paths",
    "judge",
    "judge_command",
    "policy_from_document",
]
