# Three images from one file; docs/deploy.md: how they are run, and what was never tried.
#   docker build --target eval   -t harness-eval .     evaluation client, no torch
#   docker build --target export -t harness-export .   training and export
#   docker build --target serve  -t harness-serve .    Triton, with the model repository mounted

# The version that constraints.txt was resolved for.
ARG PYTHON=3.11
# Images before 24.11 bring Python 3.10, which is too old for the project; since 2025 they also limit the
# size of HTTP requests. The graphs must suit it: `harness export --container 26.09`.
ARG TRITON=26.09

FROM python:${PYTHON}-slim-bookworm AS base
# The switches of harness/core/quiet.py, also for what starts without the harness.
ENV ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1 HF_UPDATE_DOWNLOAD_COUNTS=0 RAY_USAGE_STATS_ENABLED=0 \
    WANDB_ERROR_REPORTING=false DO_NOT_TRACK=1
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HARNESS_HOME=/workspace
RUN useradd --create-home --uid 1000 harness && mkdir /workspace && chown harness /workspace
WORKDIR /opt/harness
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
COPY training training
COPY exporters exporters
COPY benchmarks benchmarks

FROM base AS eval
RUN pip install --constraint constraints.txt '.[cpu,triton]'
USER 1000
WORKDIR /workspace
ENTRYPOINT ["harness"]
CMD ["--help"]

FROM base AS export
RUN pip install --constraint constraints.txt '.[cpu,export]'
COPY recipes /opt/harness/recipes
USER 1000
WORKDIR /workspace
ENTRYPOINT ["harness"]
CMD ["train", "--help"]

# NVIDIA's image brings tritonserver and the C++ backend for ONNX Runtime. Into a folder of its own goes
# what the text backend imports, so that the image's own packages stay as they are.
FROM nvcr.io/nvidia/tritonserver:${TRITON}-py3 AS serve
ENV ORT_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_TELEMETRY=1 HF_UPDATE_DOWNLOAD_COUNTS=0 RAY_USAGE_STATS_ENABLED=0 \
    WANDB_ERROR_REPORTING=false DO_NOT_TRACK=1
ENV PYTHONPATH=/opt/harness/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/harness
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY harness harness
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --target packages --constraint constraints.txt .
COPY harness/serving/backends/text /opt/tritonserver/backends/text
USER 1000
WORKDIR /
# Beyond the container's own loopback, since nothing else could reach it; the container's network decides who can.
# HTTP stays on that loopback, for the probe, unless HARNESS_SERVE_HTTP=open: see docs/security.md.
ENV HARNESS_SERVE_HOST=0.0.0.0 HARNESS_SERVE_REPOSITORY=/models HARNESS_SERVE_PROFILE=evaluation \
    HARNESS_SERVE_HTTP_MAX_BYTES=16777216
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=30s --timeout=15s --start-period=5m --retries=4 \
    CMD ["python3", "-m", "harness.serving.container.probe", "--timeout", "12"]
ENTRYPOINT ["python3", "-m", "harness.serving.container.launch"]
