"""Training sets with the graphs they train, one module each; the directory is the registry.

A finetune is declared once and serves three uses: intermediate training, the target phase, and
the graph that answers for one or more tasks.
"""

from harness.registry import Registry
from harness.task import AnyFinetune

REGISTRY: Registry[AnyFinetune] = Registry(__name__, "FINETUNE", "finetune", "harness tasks")
names = REGISTRY.names
load = REGISTRY.load
