"""Whether a score can be trusted: what is counted beside it, and what warns.

============  ====================================================================================
`answers`     chance, error and independent examples of a score, from examples and predictions
`inputs`      unknown subwords, truncated rows and the like, from examples and rows
`marks`       which ids of a tokenizer are special or unknown, without loading the tokenizer
`profiles`    published scores per language, from `profiles.toml`
`rules`       the warnings, a pure function of what was counted
============  ====================================================================================

docs/plausibility.md states the rules and their thresholds.
"""
