import numpy as np

from harness.benchmark.featurizers.dual import CANDIDATE, QUERY
from harness.benchmark.postprocessors.matches import BestMatch
from harness.core.examples import MatchExample
from harness.core.features import Feature


def test_each_query_picks_the_nearest_candidate_of_all_matches() -> None:
    examples = [MatchExample(name, "", "") for name in "abc"]
    queries = {"a": [1, 0], "b": [0, 1], "c": [0, 1]}
    candidates = {"a": [0.8, 0.6], "b": [0.6, 0.8], "c": [0, -1]}
    features, outputs = [], []
    for number, name in enumerate("abc"):
        for side, vectors in ((QUERY, queries), (CANDIDATE, candidates)):
            features.append(Feature(number, np.array([number, side]), np.array(side)))
            outputs.append({"embedding": np.array(vectors[name], dtype=np.float32)})
    assert BestMatch()(examples, features, outputs) == ["a", "b", "b"]
