"""The links of the chain that `harness verify` follows, one module for each kind; `harness.commands.verify` walks them.

Imports what the commands may import, and `harness.commands.evaluate`, which computes the scores again.
"""
