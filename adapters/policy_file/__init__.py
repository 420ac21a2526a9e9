"""The host's policy as a file that only root can change."""

from __future__ import annotations

from adapters.policy_file.toml_policy import DEFAULT_POLICY_FILE, MAX_POLICY_BYTES, load_policy

__all__ = ["DEFAULT_POLICY_FILE", "MAX_POLICY_BYTES", "load_policy"]
