"""What a command does, as functions from values to lines; the command line parses, calls and prints.

Imports every other room of the package but the command line and the API.
"""
