"""What users run today, each as its own documentation says to run it; written once, then left alone.

It may import `harness.core` and the texts beside it.
"""
