"""Turns training checkpoints into checked ONNX graphs; needs torch, transformers and optimum."""
