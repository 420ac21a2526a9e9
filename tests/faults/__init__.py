"""Faults made on purpose: on the real agent, a real engine, and a real network."""
