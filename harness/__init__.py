"""The XTREME harness: evaluates multilingual encoders through the graphs that are served."""
