"""A project's files as they lie in a directory of the operator's machine."""
