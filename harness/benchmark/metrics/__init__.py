"""Metrics: additive statistics of each example and a closing formula, one file each."""
