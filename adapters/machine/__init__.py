"""The machine itself, as its administrator changes it."""
