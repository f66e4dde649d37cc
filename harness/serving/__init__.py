"""Serving: graphs into Triton's repository layout, and a local Triton that answers from it.

`repository` publishes what the exporters wrote, `local` starts the server of the nvidia-pytriton
wheel, `doctor` says what a machine lacks for that. `backends/` is data for Triton, not a package.
"""
