"""The benchmark's tasks, one declarative module each; the directory is the registry."""

from harness.core.errors import UsageError
from harness.core.registry import Registry
from harness.core.task import AnyTask

REGISTRY: Registry[AnyTask] = Registry(__name__, "TASK", "task", "harness tasks")
names = REGISTRY.names


def load(name: str) -> AnyTask:
    """Return the task of a name, whatever the case of its letters.

    Raises:
        UsageError: there is no such task; names the one that papers call so, or the nearest.
    """
    wanted = name.lower()
    if wanted not in names():
        for known in names():
            if wanted in REGISTRY.load(known).aliases:
                message = f"no task named {name!r}; the harness calls it {known!r}"
                raise UsageError(message)
    return REGISTRY.load(wanted)


def answered_by(finetune: str) -> list[AnyTask]:
    """Return the tasks whose graph this finetune is, by default or by one of their alternatives."""
    found = []
    for name in names():
        task = load(name)
        choices = [task, *(task.choose(alternative) for alternative in task.alternatives)]
        found += [choice for choice in choices if choice.finetune.name == finetune][:1]
    return found
