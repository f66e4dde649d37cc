"""One evaluation's parts: jobs, the answers of a run, scores and their tables.

Imports serving and every room below it; `harness.commands.evaluate` puts the parts in order.
"""
