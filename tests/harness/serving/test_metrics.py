"""The names in the shipped dashboard, rules and queries are those that the real server reports."""

import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.core.tensors import pad
from harness.inference.endpoints.triton import TritonEndpoint
from harness.serving.padding import PADDED, USEFUL

DEPLOY = Path(__file__).parents[3] / "deploy"
SHIPPED = [
    "grafana/dashboards/triton.json",
    "prometheus/rules.yml",
    "kubernetes/prometheus-adapter.yaml",
]


def queried(name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric that a shipped file asks for, with the labels that its selector names."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        text = "\n".join(
            target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"] if "expr" in target
        )
    for metric, selector in re.findall(r"\b((?:nv|harness)_\w+_\w+)(\{[^}]*\})?", text):
        yield metric, set(re.findall(r"(\w+)=", selector))


@pytest.fixture(scope="module")
def reported_metrics(served) -> dict[str, set[str]]:
    """Each metric of the server after one request, with its labels."""
    with TritonEndpoint(served.hosts, served.artifacts["choice"]) as endpoint:
        endpoint.infer(dict(pad([[3, 4]], pad_id=1)))
    connection = http.client.HTTPConnection("127.0.0.1", served.server.metrics_port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    found: dict[str, set[str]] = {}
    for line in lines:
        if match := re.match(r"((?:nv|harness)_\w+)(\{.*\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


#: Prometheus itself adds them to what it scrapes from a pod.
ADDED = {"namespace", "pod"}


@pytest.mark.triton
@pytest.mark.parametrize("name", SHIPPED)
def test_every_metric_that_is_asked_for_exists(reported_metrics: dict[str, set[str]], name: str) -> None:
    asked = list(queried(name))
    assert asked
    assert [metric for metric, _ in asked if metric not in reported_metrics] == []
    assert [
        (metric, labels - reported_metrics[metric] - ADDED)
        for metric, labels in asked
        if labels - reported_metrics[metric] - ADDED
    ] == []


@pytest.mark.triton
def test_failures_tell_the_reasons_that_the_alerts_look_for(served, reported_metrics: dict[str, set[str]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.server.metrics_port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    reasons = set(re.findall(r'nv_inference_request_failure\{[^}]*reason="(\w+)"', text))
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    wanted = {reason for part in re.findall(r'reason=~?"([^"]+)"', rules) for reason in part.split("|")}
    assert wanted
    assert wanted <= reasons


@pytest.fixture
def tokens(served) -> Callable[[str], tuple[float, float]]:
    """Tell the tokens that a model counts, without and with padding."""

    def read(model: str) -> tuple[float, float]:
        connection = http.client.HTTPConnection("127.0.0.1", served.server.metrics_port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        useful, padded = (
            float(re.search(rf'^{name}{{model="{model}",version="1"}} (\S+)$', text, re.MULTILINE)[1])
            for name in (USEFUL, PADDED)
        )
        return useful, padded

    return read


@pytest.mark.triton
def test_tokens_are_counted_with_and_without_padding(served, tokens: Callable[[str], tuple[float, float]]) -> None:
    model = served.artifacts["sequence"]
    before = tokens(model.name)
    with TritonEndpoint(served.hosts, model) as endpoint:
        endpoint.infer(dict(pad([[3, 4, 5, 6], [7], [8, 9]], pad_id=1)))
    assert tuple(np.subtract(tokens(model.name), before)) == (7, 12)
