"""`harness data list`: what each task and training set needs, and where it comes from."""

from pathlib import Path

from harness.acquire.catalogue import Dataset, catalogue
from harness.acquire.get import units
from harness.core.layout import Layout
from harness.core.origins import Repository
from harness.core.tables import EMPTY, Table


def data_table() -> Table:
    """Return one row for each task and training set."""
    nowhere = Layout(Path("xtreme"), Path())
    rows = []
    for dataset in catalogue():
        files = {path for unit in units(dataset) for path in unit.files(nowhere)}
        rows.append(
            [
                dataset.name,
                dataset.kind,
                str(len(files)),
                str(len(dataset.languages)),
                "/".join(dataset.splits),
                _origin(dataset),
                _licence(dataset),
            ]
        )
    return Table(
        "data of the tasks and of the training sets; `harness data get NAME` gets it",
        ["name", "for", "files", "languages", "splits", "hub, pinned commit", "licence"],
        rows,
    )


def _licence(dataset: Dataset) -> str:
    stated = dict.fromkeys(repository.licence for repository in _repositories(dataset))
    return " / ".join(stated) or (dataset.hub.licence if dataset.hub else "") or EMPTY


def _origin(dataset: Dataset) -> str:
    pins = [f"{repository.name}@{(repository.revision or 'current')[:7]}" for repository in _repositories(dataset)]
    return " ".join(pins) or "not on the hub"


def _repositories(dataset: Dataset) -> list[Repository]:
    """Return the repositories that are used by default."""
    hub = dataset.hub
    if hub is None:
        return []
    used = {}
    for language in dataset.languages:
        for split in dataset.splits:
            for part in hub.parts:
                if part.serves(language, split) and not part.unofficial:
                    used[part.repository.name] = part.repository
                    break
    if hub.archive:
        used[hub.archive.repository.name] = hub.archive.repository
    return list(used.values())


def notes() -> list[str]:
    """Return what the table has no room for: what the hub cannot give, and what is not the benchmark's own."""
    found = []
    for dataset in catalogue():
        if dataset.hub is None:
            continue
        texts = [dataset.hub.refusal, dataset.hub.note]
        texts += [f"{part.repository.name}: {part.unofficial}" for part in dataset.hub.parts if part.unofficial]
        found += [f"{dataset.name}: {text}" for text in texts if text]
    return list(dict.fromkeys(found))
