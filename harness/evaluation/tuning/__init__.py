"""The fastest way to query each graph on one machine: its record on disk, its use by an evaluation, the search for it.

Imports core, artifacts, inference and the other parts of `harness.evaluation` that it needs, never the commands.
"""
