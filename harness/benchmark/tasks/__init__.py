"""The benchmark's tasks, one declarative module each; the directory is the registry."""

from harness.core.registry import Registry
from harness.core.task import AnyTask

REGISTRY: Registry[AnyTask] = Registry(__name__, "TASK", "task", "harness tasks")
names = REGISTRY.names
load = REGISTRY.load


def answered_by(finetune: str) -> list[AnyTask]:
    """Return the tasks whose graph this finetune is, by default or by one of their alternatives."""
    found = []
    for name in names():
        task = load(name)
        choices = [task, *(task.choose(alternative) for alternative in task.alternatives)]
        found += [choice for choice in choices if choice.finetune.name == finetune][:1]
    return found
