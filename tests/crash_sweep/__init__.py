"""Kills the agent, and the job runner, at each call that changes the disk, and compares the ledgers.

`python -m tests.crash_sweep` sweeps; one case alone is `python -m tests.crash_sweep agent/after/57`.
"""
