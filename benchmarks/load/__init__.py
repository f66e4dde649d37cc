"""The text endpoint under load: latency, throughput, memory over many requests, and a full queue.

It may import `harness` and `benchmarks.core`; nothing imports it.
"""
