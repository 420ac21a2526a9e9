"""The agent's WebSocket against real sockets: well-behaved servers, and all kinds of others."""
