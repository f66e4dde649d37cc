"""Text to rows of subword ids: the tokenizer, and the rows it made, cached on disk.

Imports core only.
"""
