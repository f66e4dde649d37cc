"""Turns training checkpoints into checked ONNX graphs; needs torch, transformers and optimum."""

from harness.core.quiet import disable_telemetry

# Before torch and the others, which the modules of this package import before the harness.
disable_telemetry()
