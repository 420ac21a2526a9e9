"""Projects on a local disk."""
