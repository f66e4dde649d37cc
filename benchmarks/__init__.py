"""Measurements against named baselines, with the score beside each speed; `harness bench` lists and runs them.

It may import everything but `harness.cli` and `harness.api`.
"""
