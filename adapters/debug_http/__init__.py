"""The local HTTP debug transport."""
