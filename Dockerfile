# Pinned by digest: scripts/pin-images renews it.
FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS build

# What compiles the index's kernel; they stay in this stage, and follow the image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# By hashes, and from nowhere else: scripts/requirements writes both files.
RUN python -m venv --without-pip /opt/hashdb \
    && python -m pip --python /opt/hashdb/bin/python install --no-cache-dir --no-deps --require-hashes --requirement deploy/requirements.txt \
    && python -m pip install --no-cache-dir --no-deps --require-hashes --requirement deploy/requirements-build.txt \
    && python -m pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && python -m pip --python /opt/hashdb/bin/python install --no-cache-dir --no-index --no-deps --find-links /opt/wheel hashdb \
    && python -m pip --python /opt/hashdb/bin/python check


FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

# For backups: pg_dump and pg_restore of the version of PostgreSQL that compose.yaml starts.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*

COPY --from=build /opt/hashdb /opt/hashdb
ENV PATH=/opt/hashdb/bin:/usr/lib/postgresql/17/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HASHDB_HOME=/var/lib/hashdb
# A key that several share lies in a folder of its own; a volume that is new has the owner of the folder that it covers.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/hashdb --create-home --shell /usr/sbin/nologin hashdb \
    && install --directory --owner=hashdb --group=hashdb --mode=0700 /var/lib/hashdb /var/lib/hashdb-key /var/lib/hashdb-backups

# Nothing but the home is written to: the root file system may be read-only.
USER 10001:10001
WORKDIR /var/lib/hashdb
VOLUME /var/lib/hashdb
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]

# It does not start until HASHDB_BEHIND_TLS=true says that a proxy with TLS is before it.
CMD ["hashdb", "serve", "--host", "0.0.0.0"]
