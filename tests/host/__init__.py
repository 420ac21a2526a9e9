"""Whole machines: Debian 12 with systemd, and with a Docker Engine of their own."""
