# Three images from one file:
#   docker build --target eval   -t harness-eval .     evaluation client, no torch
#   docker build --target export -t harness-export .   training and export
#   docker build --target serve  -t harness-serve .    Triton with the model repository mounted
# Built by reading only so far: no Docker engine was at hand. Each RUN line is what `make install` runs
# in pieces, and the commands were run by hand.

FROM python:3.11-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 HARNESS_HOME=/workspace
RUN useradd --create-home --uid 1000 harness && mkdir /workspace && chown harness /workspace
WORKDIR /opt/harness
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
COPY training training
COPY exporters exporters
COPY benchmarks benchmarks

FROM base AS eval
RUN pip install --constraint constraints.txt '.[cpu,triton]'
USER harness
WORKDIR /workspace
ENTRYPOINT ["harness"]
CMD ["--help"]

FROM base AS export
RUN pip install --constraint constraints.txt '.[cpu,export]'
COPY recipes /opt/harness/recipes
USER harness
WORKDIR /workspace
ENTRYPOINT ["harness"]
CMD ["train", "--help"]

# NVIDIA's image carries the C++ backend for ONNX Runtime; the repository is mounted read-only.
FROM nvcr.io/nvidia/tritonserver:24.10-py3 AS serve
EXPOSE 8000 8001 8002
USER triton-server
ENTRYPOINT ["tritonserver"]
CMD ["--model-repository=/models", "--model-control-mode=none", "--disable-auto-complete-config", "--strict-readiness=true", "--exit-on-error=true"]
