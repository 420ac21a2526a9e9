"""Ports that hold their state in memory: they pass the contracts that the real adapters pass."""
