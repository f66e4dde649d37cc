"""From examples to rows of the graph's input; training and evaluation use the same ones."""
