"""Reading compose files within bounds."""
