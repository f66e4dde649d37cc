"""Readers: one for each raw file format of the benchmark."""
