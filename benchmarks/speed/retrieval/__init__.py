"""Mining of translation pairs, against its bare matrix products and against loops; search among a million candidates.

It may import `harness` and `benchmarks.core`; `benchmarks.gpu` takes its vectors.
"""
