"""The production transport: a WebSocket that the agent dials."""
