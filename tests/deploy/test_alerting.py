"""The Alertmanager of deploy/ accepts its configuration, and notifies its receiver."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from hashdb.cli.listening import check_port
from tests.snippets import ROOT

CONF = ROOT / "deploy" / "alertmanager" / "alertmanager.yaml"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager") or ""
pytestmark = pytest.mark.skipif(
    not (ALERTMANAGER and shutil.which("amtool")), reason="no Alertmanager (apt install prometheus-alertmanager)"
)
_WITHIN = 30.0


def test_alertmanager_accepts_its_configuration_and_gets_its_secret() -> None:
    result = subprocess.run(["amtool", "check-config", CONF], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    compose: Any = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    (secret,) = compose["services"]["alertmanager"]["secrets"]
    assert f"url_file: /run/secrets/{secret}\n" in CONF.read_text("utf-8")
    prometheus: Any = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text("utf-8"))
    (alertmanager,) = prometheus["alerting"]["alertmanagers"]
    assert alertmanager["static_configs"] == [{"targets": ["alertmanager:9093"]}]


def test_an_alert_reaches_the_receiver(tmp_path: Path) -> None:
    notifications: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "alert_url").write_text(f"http://127.0.0.1:{server.server_port}/alerts")
        text = CONF.read_text("utf-8").replace("/run/secrets/alert_url", f"{tmp_path}/alert_url")
        (tmp_path / "alertmanager.yaml").write_text(text.replace("group_wait: 30s", "group_wait: 0s"))
        port = check_port("127.0.0.1", 0)
        words = [f"--config.file={tmp_path}/alertmanager.yaml", f"--storage.path={tmp_path}/data"]
        listens = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen([ALERTMANAGER, *words, *listens], stdout=log, stderr=log)
        try:
            alert = {"labels": {"alertname": "HashdbDown", "severity": "critical"}}
            until = time.monotonic() + _WITHIN
            while not notifications and time.monotonic() < until and process.poll() is None:
                with contextlib.suppress(httpx.TransportError):
                    httpx.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[alert])
                time.sleep(0.2)
        finally:
            process.terminate()
            process.wait(20)
            server.shutdown()
    assert notifications, (tmp_path / "log").read_text()
    assert (notifications[0]["receiver"], notifications[0]["status"]) == ("operator", "firing")
    assert notifications[0]["alerts"][0]["labels"]["alertname"] == "HashdbDown"
