"""From rows to a graph's outputs: endpoints, the planner of batches, the cost of a call.

Imports core and artifacts.
"""
