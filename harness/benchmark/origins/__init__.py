"""Where the benchmark's files come from: rows of the hub or of the official download, turned into local files.

Imports core and the readers of `harness.benchmark.sources`.
"""
