"""The manifests for KServe: the fields of its resources, and the same container as in the Deployment."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"


def read(*parts: str) -> dict[str, Any]:
    return yaml.safe_load(DEPLOY.joinpath(*parts).read_text(encoding="utf-8"))


RUNTIME, SERVICE = read("kserve", "serving-runtime.yaml"), read("kserve", "inference-service.yaml")
(CONTAINER,) = RUNTIME["spec"]["containers"]
(TRITON,) = read("base", "deployment.yaml")["spec"]["template"]["spec"]["containers"]

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
FORMAT = {"name": TEXT, "version": TEXT}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


#: The fields that are used, with the types of KServe's custom resources (kserve/kserve, config/crd, ServingRuntimeSpec
#: and PredictorSpec). What a container or a volume may have is Kubernetes' own.
SCHEMAS = {
    "ServingRuntime": closed(
        {
            "apiVersion": {"const": "serving.kserve.io/v1alpha1"},
            "kind": {"const": "ServingRuntime"},
            "metadata": closed({"name": TEXT}, "name"),
            "spec": closed(
                {
                    "annotations": {"type": "object", "additionalProperties": TEXT},
                    "multiModel": FLAG,
                    "protocolVersions": {"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
                    "supportedModelFormats": {
                        "type": "array",
                        "items": closed({**FORMAT, "autoSelect": FLAG, "priority": {"type": "integer"}}, "name"),
                    },
                    "containers": {"type": "array", "minItems": 1},
                    "volumes": {"type": "array"},
                },
                "containers",
            ),
        },
        "apiVersion", "kind", "metadata", "spec",
    ),
    "InferenceService": closed(
        {
            "apiVersion": {"const": "serving.kserve.io/v1beta1"},
            "kind": {"const": "InferenceService"},
            "metadata": closed({"name": TEXT, "annotations": {"type": "object", "additionalProperties": TEXT}}, "name"),
            "spec": closed(
                {
                    "predictor": closed(
                        {
                            "minReplicas": {"type": "integer", "minimum": 0},
                            "maxReplicas": {"type": "integer", "minimum": 1},
                            "model": closed(
                                {
                                    "modelFormat": closed(FORMAT, "name"),
                                    "runtime": TEXT,
                                    "protocolVersion": {"enum": ["v1", "v2", "grpc-v2"]},
                                    "storageUri": {"type": "string", "pattern": "^(pvc|s3|gs|hf|https)://"},
                                },
                                "modelFormat",
                            ),
                        }
                    )
                },
                "predictor",
            ),
        },
        "apiVersion", "kind", "metadata", "spec",
    ),
}  # fmt: skip


@pytest.mark.parametrize("manifest", [RUNTIME, SERVICE], ids=lambda manifest: manifest["kind"])
def test_manifest_has_fields_of_kserve_only(manifest: dict[str, Any]) -> None:
    jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])


def test_container_follows_the_schema_of_kubernetes() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    spec = {"containers": RUNTIME["spec"]["containers"], "volumes": RUNTIME["spec"]["volumes"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
    for version in ("1.30", "1.37"):
        validator.validate(pod, version, strict=True)


def test_runtime_is_the_one_that_the_service_names() -> None:
    model = SERVICE["spec"]["predictor"]["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    formats = [{name: each[name] for name in ("name", "version")} for each in RUNTIME["spec"]["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]


@pytest.mark.parametrize("key", ["image", "args", "startupProbe", "readinessProbe", "livenessProbe", "resources"])
def test_container_is_that_of_the_deployment(key: str) -> None:
    assert CONTAINER[key] == TRITON[key]


def test_variables_are_those_of_the_deployment_but_for_the_place_of_the_models() -> None:
    own, base = ({each["name"]: each["value"] for each in one["env"]} for one in (CONTAINER, TRITON))
    assert {name: value for name, value in own.items() if base.get(name) != value} == {
        "HARNESS_SERVE_REPOSITORY": "/mnt/models",
        "HARNESS_SERVE_PROFILE": "online",
    }
    # KServe runs the container of this name, and sends requests to its first port.
    assert (CONTAINER["name"], CONTAINER["ports"][0]["containerPort"]) == ("kserve-container", 8001)
