"""The classes of each family of encoders, and the one function that loads checkpoints into them.

Imports `harness.encoders` and what is below it. Each family is a module with a constant `NETWORKS`.
"""
