"""The transport that never leaves the process."""
