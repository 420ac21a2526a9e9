"""The agent as a program."""
