"""Measurements against named baselines, with the score beside each speed; `harness bench` lists and runs them.

It may import everything but `harness.cli` and `harness.api`.
"""

from harness.core.quiet import disable_telemetry

# Before torch and the others, which the modules of this package import before the harness.
disable_telemetry()
