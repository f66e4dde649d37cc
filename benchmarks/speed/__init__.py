"""One speed each, against a named baseline or a limit: throughput, padding, start-up, variants, mining, scoring.

It may import `benchmarks.core` and `benchmarks.contenders`; only `benchmarks.compare` imports it.
"""
