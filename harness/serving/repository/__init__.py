"""Triton's model repository: configs, versions, known answers, text models.

Imports core, artifacts, inference, text and tokenization.
"""
