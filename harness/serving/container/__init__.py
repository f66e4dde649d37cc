"""What runs inside a container: the server's command line and its health check.

Imports core, `serving.access` and `serving.repository.known_answer`, so that a check every few seconds stays light.
"""
