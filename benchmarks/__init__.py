"""Measurements against named baselines, with the score beside each speed."""
