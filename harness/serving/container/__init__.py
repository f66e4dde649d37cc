"""What runs inside a container: the server's command line and its health check.

Imports the rules of access beside it.
"""
