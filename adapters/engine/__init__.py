"""Docker Engine's own API, read only."""
