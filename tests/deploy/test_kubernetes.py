import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core import quiet
from harness.serving import access
from harness.serving.container import launch as container

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


MANIFESTS = {path.stem: read(path) for path in sorted(BASE.glob("*.yaml")) if path.stem != "kustomization"}
POD = MANIFESTS["deployment"]["spec"]["template"]["spec"]
(TRITON,) = POD["containers"]
LABELS = MANIFESTS["deployment"]["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_follows_the_schema_of_kubernetes(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for version in ("1.30", "1.37"):
        validator.validate(MANIFESTS[name], version, strict=True)


def test_kustomizations_name_files_that_exist_and_forget_none() -> None:
    assert set(read(BASE / "kustomization.yaml")["resources"]) == {f"{name}.yaml" for name in MANIFESTS}
    tls = read(KUBERNETES / "tls" / "kustomization.yaml")
    for path in [*tls["resources"], *(patch["path"] for patch in tls["patches"])]:
        assert (KUBERNETES / "tls" / path).exists()


@pytest.mark.parametrize(
    "selector",
    [
        MANIFESTS["deployment"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["service"]["spec"]["selector"],
        MANIFESTS["disruption"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["network"]["spec"]["podSelector"]["matchLabels"],
    ],
    ids=["deployment", "service", "disruption", "network"],
)
def test_selectors_find_the_pods(selector: dict[str, str]) -> None:
    assert selector
    assert selector.items() <= LABELS.items()


def test_service_is_headless_and_knows_the_ports() -> None:
    service, ports = MANIFESTS["service"]["spec"], {port["name"]: port["containerPort"] for port in TRITON["ports"]}
    assert service["clusterIP"] == "None"
    assert ports == {"http": 8000, "grpc": 8001, "metrics": 8002}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    opened = {port["port"] for rule in MANIFESTS["network"]["spec"]["ingress"] for port in rule["ports"]}
    assert opened == ports.keys()


def test_autoscaler_owns_the_number_of_the_deployments_pods() -> None:
    autoscaler, deployment = MANIFESTS["autoscaler"], MANIFESTS["deployment"]
    target = autoscaler["spec"]["scaleTargetRef"]
    assert autoscaler["apiVersion"] == "autoscaling/v2"  # v2beta2 is gone since Kubernetes 1.26
    assert (target["apiVersion"], target["kind"], target["name"]) == (
        deployment["apiVersion"],
        deployment["kind"],
        deployment["metadata"]["name"],
    )
    assert "replicas" not in deployment["spec"]


def test_autoscaler_scales_on_the_metric_that_the_adapter_makes() -> None:
    (metric,) = MANIFESTS["autoscaler"]["spec"]["metrics"]
    (rule,) = read(KUBERNETES / "prometheus-adapter.yaml")["rules"]["custom"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    # Sums over the models first, then the quotient, never by zero; one window for both.
    query = " ".join(rule["metricsQuery"].split())
    parts = re.fullmatch(
        r"sum by \(<<\.GroupBy>>\) \(increase\(nv_inference_queue_duration_us\{<<\.LabelMatchers>>\}\[(\w+)\]\)\)"
        r" / clamp_min\("
        r"sum by \(<<\.GroupBy>>\) \(increase\(nv_inference_request_success\{<<\.LabelMatchers>>\}\[(\w+)\]\)\), 1\)",
        query,
    )
    assert parts is not None
    assert parts[1] == parts[2]


def test_pod_has_no_more_rights_than_it_needs() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == 1000
    rights = TRITON["securityContext"]
    assert (rights["allowPrivilegeEscalation"], rights["readOnlyRootFilesystem"]) == (False, True)
    assert rights["capabilities"] == {"drop": ["ALL"]}


def test_models_are_read_only_and_shared_memory_is_memory_within_the_limit() -> None:
    mounts = {mount["mountPath"]: mount for mount in TRITON["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    assert mounts["/models"]["readOnly"] is True
    assert volumes[mounts["/dev/shm"]["name"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert {mount["name"] for mount in TRITON["volumeMounts"]} == volumes.keys()
    requests, limits = TRITON["resources"]["requests"], TRITON["resources"]["limits"]
    assert requests.keys() == limits.keys() == {"cpu", "memory"}
    assert int(limits["memory"].removesuffix("Gi")) >= int(requests["memory"].removesuffix("Gi")) + 1


@pytest.mark.parametrize("name", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probe_runs_and_ends_before_kubernetes_ends_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.serving.container.probe import main

    command = TRITON[name]["exec"]["command"]
    assert command[:3] == ["python3", "-m", "harness.serving.container.probe"]
    timeout = float(command[command.index("--timeout") + 1])
    assert timeout + 3 <= TRITON[name]["timeoutSeconds"] <= TRITON[name]["periodSeconds"] * 3
    with pytest.raises(SystemExit) as stopped:  # the options are those that it knows
        main([*command[3:], "--help"])
    assert stopped.value.code == 0
    assert "known question" in capsys.readouterr().out


def test_restart_takes_longer_than_being_taken_out_of_rotation() -> None:
    ready, live = TRITON["readinessProbe"], TRITON["livenessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < live["periodSeconds"] * live["failureThreshold"]


def test_pod_outlives_the_requests_that_run_when_it_is_told_to_stop() -> None:
    (sleep, seconds) = TRITON["lifecycle"]["preStop"]["exec"]["command"]
    # Triton waits 30 s for them (`tritonserver --help`, exit-timeout-secs).
    assert (sleep, POD["terminationGracePeriodSeconds"] >= int(seconds) + 30) == ("sleep", True)


def known_settings() -> set[str]:
    values = [*vars(access).values(), *vars(container).values()]
    return {value for value in values if isinstance(value, str) and value.startswith("HARNESS_SERVE_")}


def test_variables_are_those_that_the_container_reads() -> None:
    tls = read(KUBERNETES / "tls" / "deployment.yaml")["spec"]["template"]["spec"]
    (patched,) = tls["containers"]
    names = {entry["name"] for entry in [*TRITON["env"], *patched["env"]]}
    assert names <= known_settings() | quiet.VARIABLES.keys()
    assert {access.CERTIFICATE, access.PRIVATE_KEY} <= names


def test_every_switch_against_telemetry_is_set() -> None:
    values = {entry["name"]: entry["value"] for entry in TRITON["env"]}
    assert quiet.VARIABLES.items() <= values.items()


def test_tls_patch_changes_the_deployments_own_container() -> None:
    patch = read(KUBERNETES / "tls" / "deployment.yaml")
    (patched,) = patch["spec"]["template"]["spec"]["containers"]
    assert (patch["kind"], patch["metadata"]["name"], patched["name"]) == ("Deployment", "triton", TRITON["name"])
    (mount,) = patched["volumeMounts"]
    assert all(entry["value"].startswith(mount["mountPath"] + "/") for entry in patched["env"])
    assert mount["name"] in {volume["name"] for volume in patch["spec"]["template"]["spec"]["volumes"]}
