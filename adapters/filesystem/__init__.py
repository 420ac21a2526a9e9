"""What lies on a local disk: projects, their revisions, what is private to jobs."""
