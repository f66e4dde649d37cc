"""Training sets with the graphs they train, one module each; the directory is the registry.

A finetune is declared once and serves three uses: intermediate training, the target phase, and
the graph that answers for one or more tasks. Another package adds its own by an entry point of the
group ``harness.finetunes``; a recipe trains those only if it names them.
"""

from harness.core.layout import Layout
from harness.core.registry import FINETUNES, Registry
from harness.core.task import AnyFinetune, Finetune

REGISTRY: Registry[AnyFinetune] = Registry(
    __name__, "FINETUNE", "finetune", "harness tasks", group=FINETUNES, declares=Finetune
)
names = REGISTRY.names
plugins = REGISTRY.plugins
load = REGISTRY.load


def bound(name: str, layout: Layout) -> AnyFinetune:
    """Return a finetune with the labels of the data folder, where it takes them from there."""
    finetune = load(name)
    return finetune if finetune.bind is None else finetune.bind(layout)
