"""What the scores of finished runs say: against chance, against another model, over seeds.

It may import `harness` and `benchmarks.core`; nothing imports it.
"""
