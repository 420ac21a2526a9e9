"""The agent: holds a link to the control plane, and carries out what arrives on it."""
