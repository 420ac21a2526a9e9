"""Whole lives of an agent and its control plane in virtual time, from a seed, and what must hold in each.

`python -m tests.simulation 1000` runs so many seeds, `python -m tests.simulation 17-17` replays one.
"""
