"""What the agent costs: figures to look at, beside what they are meant to be.

Nothing here passes or fails; a test never measures time, and this never tests.
"""
