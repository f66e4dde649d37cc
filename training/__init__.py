"""Produces the checkpoints of the three phases; meets the evaluator only through directories."""

from harness.core.quiet import disable_telemetry

# Before torch and the others, which the modules of this package import before the harness.
disable_telemetry()
