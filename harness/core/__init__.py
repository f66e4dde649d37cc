"""Values that every room shares: examples, features, tasks, languages, errors, files, progress.

Imports nothing else of the project.
"""
