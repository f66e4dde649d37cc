"""From what a graph answered to predictions, one for each example."""
