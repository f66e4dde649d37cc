from pathlib import Path

from training import recipe
from training.recipe import Recipe
from training.reference import comments, page

DOCS = Path(__file__).resolve().parents[2] / "docs/recipes.md"


def test_page_is_what_the_types_say() -> None:
    assert DOCS.read_text(encoding="utf-8") == page(), "write it again: python -m training.reference > docs/recipes.md"


def test_keys_that_a_name_does_not_explain_have_a_comment() -> None:
    found = comments(recipe)
    assert set(found) >= {("Recipe", name) for name in Recipe.__dataclass_fields__}
    assert found["Recipe", "data"].startswith('"sample", a folder, or nothing')
