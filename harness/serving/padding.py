"""How much of what a served model computes is padding: two counters beside Triton's own metrics.

The backends count, since only they know how they packed: Triton's ``nv_inference_count`` counts rows,
however long. Padded by useful tokens over any time is the padding of that time, as Prometheus and
`harness bench latency` compute it.
"""

from typing import Any

import numpy as np

from harness.core.tensors import Tensors

#: The counters' names on the metrics port; Prometheus' convention is the ending.
USEFUL, PADDED = "harness_useful_tokens_total", "harness_padded_tokens_total"
_MEANING = {
    USEFUL: "Tokens of the batches that a model answered, without padding",
    PADDED: "Rows times width of the batches that a model answered, padding included",
}


class PaddingCounters:
    """The two counters of one version of a served model; its instances add to the same ones."""

    def __init__(self, server: Any, model: str, version: str) -> None:
        """Create the counters, which start at 0, or find those of another instance.

        Args:
            server: the module ``triton_python_backend_utils`` that Triton gives to a backend.
            model: the served name.
            version: its version.
        """
        # A family that is collected takes its metrics with it.
        self._families = [
            server.MetricFamily(name=name, description=meaning, kind=server.MetricFamily.COUNTER)
            for name, meaning in _MEANING.items()
        ]
        self._useful, self._padded = (
            family.Metric(labels={"model": model, "version": version}) for family in self._families
        )

    def count(self, batch: Tensors) -> None:
        """Count a batch that was answered.

        Args:
            batch: the graph's inputs, (rows, width) each; without a mask, every token counts as useful.
        """
        ids = batch["input_ids"]
        mask = batch.get("attention_mask")
        self._useful.increment(float(ids.size if mask is None else np.count_nonzero(mask)))
        self._padded.increment(float(ids.size))
