"""What builds the agent, and gets ready what its tests and its hosts need."""
