"""Kills the control plane wherever something has become durable or has left it, and compares the ledgers.

`python -m tests.fleet.kill_sweep` sweeps; a case alone is `... kill_sweep v2:after/numbered/1`.
"""
