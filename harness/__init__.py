"""The XTREME harness: evaluates multilingual encoders through the graphs that are served."""

__version__ = "0.1.0"
