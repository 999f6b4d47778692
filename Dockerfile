# Pinned by digest: scripts/pin-images updates it.
FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS build

# The compiler for the index's kernel. It stays in this stage; its version follows the image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
# Installs only packages with a known hash. scripts/requirements writes both files.
RUN python -m venv --without-pip /opt/hashdb \
    && python -m pip --python /opt/hashdb/bin/python install --no-cache-dir --no-deps --require-hashes --requirement deploy/requirements.txt \
    && python -m pip install --no-cache-dir --no-deps --require-hashes --requirement deploy/requirements-build.txt \
    && python -m pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && python -m pip --python /opt/hashdb/bin/python install --no-cache-dir --no-index --no-deps --find-links /opt/wheel hashdb-exchange \
    && python -m pip --python /opt/hashdb/bin/python check


FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

# pg_dump and pg_restore for backups, in the version of PostgreSQL that compose.yaml starts.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes postgresql-client-17 \
    && rm -rf /var/lib/apt/lists/*

COPY --from=build /opt/hashdb /opt/hashdb
ENV PATH=/opt/hashdb/bin:/usr/lib/postgresql/17/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HASHDB_HOME=/var/lib/hashdb
# The shared signing key has its own folder. A new volume gets the owner of the folder over which it is mounted.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/hashdb --create-home --shell /usr/sbin/nologin hashdb \
    && install --directory --owner=hashdb --group=hashdb --mode=0700 /var/lib/hashdb /var/lib/hashdb-key /var/lib/hashdb-backups

# hashdb writes only to its home, so the root file system can be read-only.
USER 10001:10001
WORKDIR /var/lib/hashdb
VOLUME /var/lib/hashdb
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=4)"]

# It refuses to start without HASHDB_BEHIND_TLS=true, which states that a proxy with TLS is in front of it.
CMD ["hashdb", "serve", "--host", "0.0.0.0"]
