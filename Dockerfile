# One image for both halves of the program: the command chooses which one runs.

FROM python:3.13-slim AS base


FROM base AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

RUN python -m venv /opt/shortener
ENV PATH=/opt/shortener/bin:$PATH

WORKDIR /build

# The dependencies first: this layer is rebuilt only when the lock changes.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

# What else the context holds is decided by the allow list in .dockerignore.
# No build isolation: the build backend is in the lock too, so nothing is
# fetched here that has no hash. The last command ends a broken build at once.
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && shortener --help > /dev/null


FROM base

# A fixed uid, so that every container of this image can write the same volume.
# The home is /tmp: whatever a library keeps in its home goes to the tmpfs and
# works with a read-only root file system too.
# /data is made before VOLUME, because a new volume takes over its owner.
RUN groupadd --system --gid 10001 shortener \
    && useradd --system --no-log-init --uid 10001 --gid 10001 \
        --home-dir /tmp --no-create-home --shell /usr/sbin/nologin shortener \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data

COPY --from=build /opt/shortener /opt/shortener

# pip has compiled the bytecode; the program could not write it here anyway.
# Unbuffered, so that the log is complete even when the container is killed.
ENV PATH=/opt/shortener/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SHORTENER_BIND=0.0.0.0:8000 \
    SHORTENER_DATA_DIR=/data

# Not /data: a directory the program can write must not be on its import path.
WORKDIR /opt/shortener

# In numbers, so that an orchestrator can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

# No HEALTHCHECK: the two halves need different ones, see docker-compose.yml.
ENTRYPOINT ["shortener"]
CMD ["serve"]
