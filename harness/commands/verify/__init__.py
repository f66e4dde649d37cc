"""`harness verify`: the chain of digests from checkpoints to scores, one module for each kind of link.

Imports what the commands may import, and `harness.commands.evaluate`, which computes the scores again.
"""
