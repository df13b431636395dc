# syntax=docker/dockerfile:1
# The image of this project: what runs in pods (python -m cpod_jupyter.runtime), and the operator beside it.
#
#   docker build --target cpu -t cpod-jupyter/runtime:0.1.0 .
#   docker build --target cuda -t cpod-jupyter/runtime:0.1.0-cuda .
#
# Behind a proxy or a mirror: --build-arg PIP_INDEX_URL=… . The versions are those of constraints.txt. CUDA's libraries
# come with PyTorch's wheels, so the base is the same for both; nodes need the driver and the container toolkit alone.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ARG PIP_INDEX_URL=https://pypi.org/simple
ENV PIP_INDEX_URL=${PIP_INDEX_URL} \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    HOME=/home/cpod
# git: a CPodJob's gitRepo. libgomp1: PyTorch. ca-certificates: hubs and object stores.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 cpod \
 && useradd --uid 65532 --gid 65532 --home-dir /home/cpod --create-home --shell /usr/sbin/nologin cpod
WORKDIR /app

# PyTorch first, and by itself: it is most of the image, and changes least. One stage for each kind of wheel.
FROM base AS torch-cpu
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN pip install --index-url "${TORCH_INDEX_URL}" "$(grep --ignore-case '^torch==' constraints.txt)"

# A compiler: DeepSpeed makes its operators for the CPU, which offloading uses, when they are first needed.
FROM base AS torch-cuda
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential \
 && rm -rf /var/lib/apt/lists/*
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch

FROM torch-cpu AS cpu
COPY pyproject.toml README.md LICENSE ./
COPY cpod_jupyter ./cpod_jupyter
RUN pip install --constraint constraints.txt '.[runtime,storage]' && rm -rf /app
USER 65532:65532
WORKDIR /home/cpod
ENTRYPOINT ["python", "-m", "cpod_jupyter.runtime"]

FROM torch-cuda AS cuda
COPY pyproject.toml README.md LICENSE ./
COPY cpod_jupyter ./cpod_jupyter
RUN pip install --constraint constraints.txt '.[runtime,storage,gpu]' && rm -rf /app
USER 65532:65532
WORKDIR /home/cpod
ENTRYPOINT ["python", "-m", "cpod_jupyter.runtime"]
