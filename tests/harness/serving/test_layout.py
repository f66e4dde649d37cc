from pathlib import Path

import pytest

from harness.core.errors import ArtifactError
from harness.serving.repository.layout import selected


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("version_policy { specific { versions: [ 2 ] } }", 2),
        ("version_policy: { specific: { versions: 3 } }", 3),
        ("# version_policy { specific { versions: [ 1 ] } }\nversion_policy { specific { versions: [ 4 ] } }", 4),
        ("# version_policy { specific { versions: [ 1 ] } }", None),
        ("version_policy { specific { versions: [ 1, 2 ] } }", None),
        ("version_policy { latest { num_versions: 1 } }", None),
        ("", None),
    ],
)
def test_selected_version_is_the_one_that_triton_reads(tmp_path: Path, text: str, version: int | None) -> None:
    (tmp_path / "config.pbtxt").write_text(f'name: "tiny"\n{text}\n', encoding="utf-8")
    assert selected(tmp_path / "config.pbtxt") == version


def test_missing_config_selects_nothing(tmp_path: Path) -> None:
    assert selected(tmp_path / "config.pbtxt") is None


def test_damaged_config_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text("version_polici { }", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"is not a Triton config \(1:1 .*version_polici.*`harness models promote`"):
        selected(tmp_path / "config.pbtxt")
