"""A Triton server on this machine: started, watched, healed and stopped.

`running` sends requests to a server, `local` starts one, `service` follows the repository and heals models, `serve` is
behind `harness serve`. Imports the repository and what that imports.
"""
