"""Putting the agent on a machine, and taking it away."""
