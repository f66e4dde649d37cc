"""What lies in a workspace: checkpoints, exported graphs and their manifests.

Training and export write here, evaluation and serving read; imports core, and the sample data that a workspace holds.
"""
