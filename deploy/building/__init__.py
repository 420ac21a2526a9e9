"""How `deploy/build.py` makes the wheel and the single files."""
