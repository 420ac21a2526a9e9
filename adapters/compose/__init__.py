"""Running Docker Compose."""
