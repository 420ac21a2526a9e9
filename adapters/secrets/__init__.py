"""What is encrypted at rest, and what nobody can guess."""
