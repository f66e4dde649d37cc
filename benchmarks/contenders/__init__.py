"""The sides of a comparison and its work: this harness, PyTorch in file order, random encoders, and the rows.

It may import `harness`, `training`, `exporters` and `benchmarks.core`; `speed`, `compare`, `load` and `gpu` use it.
"""
