"""Produces the checkpoints of the three phases; meets the evaluator only through directories."""
