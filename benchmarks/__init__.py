"""Measurements: what the harness does per second, against named baselines, with the score beside it."""
