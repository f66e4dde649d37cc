"""The official file formats of predictions and labels, one module for each."""
