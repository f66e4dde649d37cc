"""Intervals and tests: values in, values out, one engine for the gate, comparisons and reports.

Imports core only.
"""
