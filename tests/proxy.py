"""nginx with deploy/nginx/nginx.conf, in front of services on 127.0.0.1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from hashdb.cli.listening import check_port
from tests.snippets import ROOT

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or ""
needs_nginx = pytest.mark.skipif(
    not (NGINX and shutil.which("openssl")), reason="no nginx (apt install nginx-light) or no openssl"
)
CONF = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text("utf-8")
FAIL_TIMEOUT = 1
"""Seconds for which nginx sends nothing to a replica that failed."""
_STARTS_WITHIN = 20.0


class Proxy(NamedTuple):
    """The addresses of the proxy (the API with TLS, the console, the API without TLS), its certificate and its logs."""

    tls: httpx.URL
    console: httpx.URL
    plain: httpx.URL
    certificate: Path
    access: Path
    errors: Path


@contextmanager
def proxy(folder: Path, replicas: tuple[int, int], *, short_timeouts: bool = True) -> Iterator[Proxy]:
    """nginx with the deployed file, in which only paths and ports are replaced.

    `short_timeouts` also replaces its timeouts of 5 and 10 seconds by 1 second.
    """
    secrets, (tls, console, plain) = folder / "secrets", (check_port("127.0.0.1", 0) for _ in range(3))
    make_secrets = [str(ROOT / "deploy" / "make-secrets"), "hashes.example", str(secrets)]
    subprocess.run(make_secrets, check=True, capture_output=True, timeout=30)
    text = re.sub(r" /tmp/", f" {folder}/", CONF).replace("/dev/stderr", f"{folder}/error.log")
    text = text.replace("web-1:8000", f"127.0.0.1:{replicas[0]}").replace("web-2:8000", f"127.0.0.1:{replicas[1]}")
    text = text.replace("listen 8443 ssl", f"listen 127.0.0.1:{plain};\n        listen 127.0.0.1:{tls} ssl")
    text = text.replace("listen 8444 ssl", f"listen 127.0.0.1:{console} ssl")
    text = text.replace("/run/secrets/", f"{secrets}/").replace("/dev/stdout", f"{folder}/access.log")
    if short_timeouts:
        text = re.sub(r"client_(header|body)_timeout 10s", r"client_\1_timeout 1s", text)
        text = text.replace("fail_timeout=5s", f"fail_timeout={FAIL_TIMEOUT}s")
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"{user}daemon off;\n{text}")
    words = [NGINX, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True, timeout=20, check=False)
    assert checked.returncode == 0, checked.stderr
    process = subprocess.Popen(words)
    try:
        ports = (("https", tls), ("https", console), ("http", plain))
        urls = [httpx.URL(f"{scheme}://127.0.0.1:{port}") for scheme, port in ports]
        _await(urls[-1])
        yield Proxy(urls[0], urls[1], urls[2], secrets / "tls_crt", folder / "access.log", folder / "error.log")
    finally:
        process.terminate()
        process.wait(20)


def _await(url: httpx.URL) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        try:
            httpx.get(url.join("/healthz"))
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("nginx does not answer")
