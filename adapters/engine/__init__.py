"""Docker Engine's own API: reads, and the names of containers that Compose left behind."""
