"""What doctor and status look with, on this machine."""
