"""The benchmark's tasks, one declarative module each; the directory is the registry."""

from harness.registry import Registry
from harness.task import AnyTask

REGISTRY: Registry[AnyTask] = Registry(__name__, "TASK", "task", "harness tasks")
names = REGISTRY.names
load = REGISTRY.load
