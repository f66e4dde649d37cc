"""Triton's model repository: configs, versions, known answers, text models.

`layout` reads names and selections, `check` compares files with their digests, `store` publishes, `releases` selects
other versions. Imports core, artifacts, benchmark, inference, text and tokenization.
"""
