"""Encoders, as far as they are known without torch: files of weights, tokenizers, origin and licence.

A module here reads with numpy alone and gives arrays under the names that transformers uses. What builds
a network from them is no part of this package.
"""
