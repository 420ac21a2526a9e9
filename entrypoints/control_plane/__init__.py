"""The control plane: what agents dial, and its API."""
