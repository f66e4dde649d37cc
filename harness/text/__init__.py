"""Text in, answer out: fields of text become the rows of a graph, and its outputs become an answer.

Imports core, benchmark and inference. Of other packages it needs numpy and tokenizers only, since the `text` backend
imports it inside Triton (`client` alone needs tritonclient). A long text is cut, or read in windows, by the same
featurizer and postprocessor as in evaluation; `forms.FORMS` has the fields of each featurizer.
"""
