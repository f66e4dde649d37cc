"""What one NVIDIA GPU does with the work of this harness: matrix products, an encoder, tokens to feed it, neighbours.

It may import `harness`, `exporters`, `benchmarks.core`, `benchmarks.contenders` and `benchmarks.speed.retrieval`;
nothing imports it.
"""
