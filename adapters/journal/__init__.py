"""What the agent must not forget, on disk."""
