"""Shared contracts: what two parts of Barometer must agree on. Pure: no I/O, and nothing of ours is imported."""
