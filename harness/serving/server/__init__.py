"""A Triton server on this machine: started, watched, healed and stopped.

Imports the repository beside it, and what that imports.
"""
