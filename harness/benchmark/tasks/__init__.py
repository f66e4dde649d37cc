"""The benchmark's tasks, one declarative module each; the directory is the registry.

Another package adds its own by an entry point of the group ``harness.tasks``. No suite has those, so
that a suite's numbers stay what they are.
"""

from harness.benchmark import finetunes
from harness.benchmark.suites import SUITES
from harness.core.errors import UsageError
from harness.core.registry import FINETUNES, TASKS, Registry
from harness.core.task import AnyTask, Task

REGISTRY: Registry[AnyTask] = Registry(__name__, "TASK", "task", "harness tasks", group=TASKS, declares=Task)
names = REGISTRY.names
plugins = REGISTRY.plugins


def load(name: str) -> AnyTask:
    """Return the task of a name, whatever the case of its letters.

    Raises:
        UsageError: there is no such task (names the one that papers call so, or the nearest), or a plugin's
            task cannot be used.
    """
    wanted = name.lower()
    known = alias(wanted)
    if known is not None:
        message = f"no task named {name!r}; the harness calls it {known!r}"
        raise UsageError(message)
    task = REGISTRY.load(wanted)
    if wanted in plugins():
        _check_plugin(task)
    return task


def alias(name: str) -> str | None:
    """Return the task that papers or the hub call so; None for the name of a task, and for any other."""
    if name in names():
        return None
    return next((known for known in names() if name.lower() in REGISTRY.load(known).aliases), None)


def _check_plugin(task: AnyTask) -> None:
    """Refuse a plugin's task that claims to belong to a suite, or whose training set nobody can load by name.

    Raises:
        UsageError: says what to change in that package.
    """
    where = f"task {task.name!r} of the package {str(plugins()[task.name])!r}"
    for suite in SUITES:
        if suite in task.languages:
            message = f"{where} has languages of {suite}, whose tasks are fixed; write `languages={{'own': (...)}}`"
            raise UsageError(message)
    if task.finetune.name not in finetunes.names():
        message = (
            f"{where} has the training set {task.finetune.name!r}, which is not declared; "
            f"add an entry point of that name to the group {FINETUNES}"
        )
        raise UsageError(message)


def answered_by(finetune: str) -> list[AnyTask]:
    """Return the tasks whose graph this finetune is, by default or by one of their alternatives."""
    found = []
    for name in names():
        task = load(name)
        choices = [task, *(task.choose(alternative) for alternative in task.alternatives)]
        found += [choice for choice in choices if choice.finetune.name == finetune][:1]
    return found
