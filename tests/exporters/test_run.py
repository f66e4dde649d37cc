import pytest

from exporters.run import Wanted
from harness.core.errors import UsageError


def test_device_is_checked_before_anything_is_read() -> None:
    Wanted(device="gpu").check()
    with pytest.raises(UsageError, match="no device 'gpus', did you mean 'gpu'; it is cpu or gpu"):
        Wanted(device="gpus").check()  # type: ignore[arg-type]
