from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_checkpoints import HEADS, VOCABULARY, save_checkpoint


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: save_checkpoint(root / name, name) for name in HEADS}


@pytest.fixture(scope="session")
def probes() -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return [np.array([0, *rng.integers(4, VOCABULARY, size=size), 2]) for size in (1, 5, 14, 30, 60)]
