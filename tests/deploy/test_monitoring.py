import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "triton.json").read_text(encoding="utf-8"))


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def mounted(service: str, target: str) -> Path:
    """Return the file or folder that a service sees at a path."""
    (source,) = [
        mount["source"] for mount in read("compose.yaml")["services"][service]["volumes"] if mount["target"] == target
    ]
    return DEPLOY / source


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_prometheus_reads_the_file_and_rules_that_are_mounted() -> None:
    service = read("compose.yaml")["services"]["prometheus"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in service["command"]
    config = yaml.safe_load(mounted("prometheus", "/etc/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    for rules in config["rule_files"]:
        groups = yaml.safe_load(mounted("prometheus", f"/etc/prometheus/{rules}").read_text(encoding="utf-8"))["groups"]
        assert [rule["alert"] for group in groups for rule in group["rules"] if not rule["expr"]] == []
        assert groups


def test_prometheus_asks_the_metrics_of_the_server_often_enough() -> None:
    config, services = read("prometheus/prometheus.yml"), read("compose.yaml")["services"]
    (job,) = config["scrape_configs"]
    (source,) = job["dns_sd_configs"]
    assert job["job_name"] == "triton"
    assert set(source["names"]) <= services.keys()
    assert any(port.endswith(f":{source['port']}") for port in services["triton"]["ports"])
    # A rate needs two values in its window of a minute; four leave room for scrapes that fail.
    assert int(config["global"]["scrape_interval"].removesuffix("s")) * 4 <= 60


def test_dashboard_and_datasource_lie_where_grafana_looks() -> None:
    provisioning = mounted("grafana", "/etc/grafana/provisioning")
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "dashboards.yaml").read_text(encoding="utf-8"))[
        "providers"
    ]
    assert list(mounted("grafana", provider["options"]["path"]).glob("*.json")) != []
    host, port = source["url"].removeprefix("http://").split(":")
    assert any(each.endswith(f":{port}") for each in read("compose.yaml")["services"][host]["ports"])
    asked = [target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert set(asked) == {source["uid"]}


def test_panels_have_titles_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize(
    "needed",
    [
        "nv_inference_request_success",
        "nv_inference_count",
        "nv_inference_exec_count",
        "nv_inference_queue_duration_us",
        "nv_inference_pending_request_count",
        "nv_inference_request_failure",
    ],
)
def test_dashboard_shows_what_an_operator_needs_for_each_model(needed: str) -> None:
    # The form with the selector, so that nv_inference_count is not found in another name.
    assert [each for each in expressions() if needed + '{model=~"$model"}' in each]


def test_expressions_are_balanced_and_quotients_of_counts_cannot_divide_by_zero() -> None:
    for each in expressions():
        assert each.count("(") == each.count(")")
        if "request_success" in each and "/" in each:
            assert "/ clamp_min(" in each
