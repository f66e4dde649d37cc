"""How much a graph loses at most, over all examples and in each script, against margins fixed beforehand.

The null hypothesis is that the loss reaches the margin; little data cannot reject it, so little data never passes.

The bound of a script is the larger of its own (`evidence`) and that of its empirical-Bayes estimate (`pooling`). So
pooling makes a script that was lucky answer for what the others lost, and never excuses one. With the others' true
losses known, the one-sided test of a script's own data is the most powerful there is at 5 % (Neyman and Pearson); any
rule by which the others could excuse a script accepts a single bad one more often than that. The bound of the shrunken
estimate alone does. `translation` allows a part of it (limited translation, Efron and Morris 1972, JASA
67:130-139); benchmarks/simulation.py tables what it costs. That ten scripts are not ten chances to be unlucky is left
to the number of examples (`planning.sizes`: the probability that *all* are shown) and to refusing only with
Bonferroni's correction over the scripts (`monitor`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.statistics.evidence import Evidence
from harness.statistics.pooling import pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """The losses from which on a graph is not published, in points, fixed before any data is seen.

    Half a point over all examples is below what recipes are compared by (differences of a point and more). A
    script has about a tenth of the examples; what is known as surely about a tenth of the data is sqrt(10) times
    wider, 1.6 points, hence two.
    """

    overall: float = 0.5
    script: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptBound:
    """What one script loses at most, in points."""

    #: The script's own score bound, the bound of the shrunken estimate, and the one that is judged.
    own: float
    pooled: float
    bound: float
    #: The empirical-Bayes estimate of the loss and its standard error.
    shrunken: float
    error: float


def script_bounds(
    scripts: Mapping[str, Evidence], critical: Mapping[str, float], translation: float = 0.0
) -> dict[str, ScriptBound]:
    """Return the bound of each script, partially pooled as the module describes.

    Args:
        scripts: what each script's examples say.
        critical: the normal critical value of each script at this look; 1.645 without looks before it.
        translation: how far, in standard errors, pooling may pull a bound below the script's own; infinity is
            the bound of the shrunken estimate alone, which hides a single bad script.
    """
    found = pool(np.array([one.loss for one in scripts.values()]), np.array([one.variance for one in scripts.values()]))
    bounds = {}
    for number, (script, one) in enumerate(scripts.items()):
        own = one.upper(critical[script])
        shrunken, error = float(found.values[number]), float(found.errors[number])
        pooled = shrunken + critical[script] * error
        limit = -math.inf if math.isinf(translation) else own - translation * math.sqrt(one.variance)
        bounds[script] = ScriptBound(own=own, pooled=pooled, bound=max(pooled, limit), shrunken=shrunken, error=error)
    return bounds
