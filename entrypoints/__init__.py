"""The programs: settings, wiring, and the life of each process."""
