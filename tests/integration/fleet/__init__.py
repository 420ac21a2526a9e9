"""The control plane with many agents at once."""
