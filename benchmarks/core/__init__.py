"""What every benchmark is made of: timing in alternation, rows, options, tables and plots.

It may import `harness`, and nothing else of `benchmarks`.
"""
