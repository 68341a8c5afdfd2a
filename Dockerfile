# The package and its commands on a CPU; docs/serving.md says how to build and run it.
FROM python:3.11.11-slim-bookworm

ARG EXTRAS=beam,media,flow,weak,pictures,search
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    TF_CPP_MIN_LOG_LEVEL=3 \
    HOME=/home/crossmodal

RUN useradd --create-home --uid 1000 crossmodal
WORKDIR /opt/crossmodal
COPY setup.py pyproject.toml README.md LICENSE ./
COPY crossmodal crossmodal
COPY avc avc
COPY yt8m_embed yt8m_embed
COPY launch launch
RUN python -m pip install ".[${EXTRAS}]"
COPY testdata testdata

USER crossmodal
WORKDIR /work
ENTRYPOINT ["python", "-m"]
CMD ["launch.search", "--help"]
