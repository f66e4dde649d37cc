"""Serving: exported graphs in a model repository, and servers that answer from it.

`repository` publishes graphs, `server` runs the Triton of the nvidia-pytriton wheel on this machine, `container` is
what NVIDIA's image runs, `access` has the rules of who may call what. `backends/` is code that Triton loads itself.
Imports core, artifacts, inference, text and tokenization.
"""
