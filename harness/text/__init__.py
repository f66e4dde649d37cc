"""Text in, answer out: plain fields become a graph's rows, its outputs become an answer as JSON has it.

Between them stand the featurizer and the postprocessor of the graph's own finetune, so that a long
text is cut, or read in windows, as in evaluation. Which fields a graph takes follows from its
featurizer (`forms.FORMS`). The package needs numpy and tokenizers and nothing else: the `text`
backend imports it inside Triton.
"""
