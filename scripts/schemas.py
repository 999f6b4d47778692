"""Dump a database of an earlier version to tests/data/schemas: `python -m scripts.schemas CODE`.

CODE is the folder of a checkout of that version (`git archive COMMIT hashdb | tar x -C CODE`). The script starts its
service and fills the database over HTTP, with the operations that the version has.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.faults.ledger import signal_text
from tests.faults.services import Service
from tests.postgres import OwnServer, own_server
from tests.receivers import LOOPBACK, receiver

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "schemas"
_ITEMS = 24
_REMOVED = "2026-05-01T12:00:00Z"
_SILENT = "http://127.0.0.1:9/hook"
"""An address where no server listens."""
_TIMEOUT = 20.0
_SCOPES = ("contribute", "match", "feed", "audit", "review", "admin")


def main() -> None:
    """Write the files of a version for both databases."""
    parser = argparse.ArgumentParser(prog="python -m scripts.schemas", description=__doc__)
    parser.add_argument("code", type=Path, help="folder of a checkout of that version")
    code = parser.parse_args().code.resolve()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        state = _fill_and_read(code, home, None)
        with closing(sqlite3.connect(home / "hashdb.sqlite")) as connection:
            _write(state["schema"], "sqlite", "\n".join(connection.iterdump()))
    with tempfile.TemporaryDirectory() as folder, own_server() as server, server.new_database() as url:
        of_postgresql = _fill_and_read(code, Path(folder) / "home", url)
        assert of_postgresql == state, "the databases return different results"
        _write(state["schema"], "postgresql", _dump(server, url))
    text = json.dumps(state, indent=1, sort_keys=True) + "\n"
    (FOLDER / f"{state['schema']}.json").write_text(text, "utf-8")
    print(text)


def _fill_and_read(code: Path, home: Path, database: str | None) -> dict[str, Any]:
    """Fill a database with the service of a version; return what it must return after an upgrade."""
    settings = {"PYTHONPATH": str(code), "HASHDB_KERNEL": "0"} | ({"HASHDB_DATABASE_URL": database} if database else {})
    has_webhooks = (code / "hashdb" / "webhooks.py").exists()
    if has_webhooks:
        settings |= {"HASHDB_WEBHOOK_HTTP": "true", "HASHDB_WEBHOOK_NETWORKS": LOOPBACK}
    with Service(home, settings, workers=1) as service:
        schema = json.loads(service.command("upgrade", "--json").stdout)["schema"]
        service.start()
        clients = [_member(service, name) for name in ("Alpha", "Beta", "Gamma")]
        service.command("key", "add", "Gamma", "--scope", "match")
        service.command("key", "revoke", "4")
        service.command("user", "add", "ada", "--role", "admin")
        # A version without this option adds no key.
        service.command("key", "add", "Gamma", "--scope", "match", "--hide-distances")
        _use_service(clients)
        webhooks = {"webhooks": _add_webhooks(clients[0])} if has_webhooks else {}
        # After a restart, the background tasks have processed the log.
        service.stop()
        service.start()
        matches = _matches(clients[0])
        for client in clients:
            client.close()
    return {"schema": schema, "matches": matches, **webhooks}


def _member(service: Service, name: str) -> httpx.Client:
    words = [word for scope in _SCOPES for word in ("--scope", scope)]
    added = service.command(
        "member", "add", name, "--kind", "platform", "--contact", f"{name}@a.example", *words, "--json"
    )
    secret = json.loads(added.stdout)["key"]["secret"]
    return httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30)


def _use_service(clients: list[httpx.Client]) -> None:
    alpha, beta, gamma = clients
    for start, client in ((0, alpha), (8, beta), (16, gamma)):
        items = [_item(seed) for seed in range(start, start + _ITEMS // 3)]
        client.post("/v1/contributions", json={"contributions": items}).raise_for_status()
    alpha.patch("/v1/contributions/1", json={"severity": 4, "labels": ["recruitment"]}).raise_for_status()
    alpha.post("/v1/contributions/2/withdrawal", json={"reason": "removal_reversed"}).raise_for_status()
    alpha.delete("/v1/contributions/3/content").raise_for_status()
    alpha.delete("/v1/contributions/4/content", params={"now": "1"})
    _post_if_supported(beta, "/v1/contributions/5/opinions", {"opinion": "confirms"})
    for id in (6, 7, 8):
        _post_if_supported(gamma, f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "edsa_context"})
    cases = alpha.get("/v1/cases")
    if cases.is_success:
        for case, decision in zip(cases.json()["cases"], ("retire", "quarantine"), strict=False):
            _post_if_supported(
                beta, f"/v1/cases/{case['id']}/decision", {"decision": decision, "note": "As an example."}
            )
    _post_if_supported(alpha, "/v1/benign", {"signals": [signal_text(9)], "note": "a splash screen"})
    _post_if_supported(alpha, "/v1/incidents", {"label": "CIP:example-2026", "start": _REMOVED})
    alpha.patch("/v1/members/3", json={"status": "suspended"}).raise_for_status()
    alpha.get("/v1/changes").raise_for_status()


def _add_webhooks(client: httpx.Client) -> list[dict[str, Any]]:
    """Add a webhook that arrives and one that does not; return the fields that must not change."""
    with receiver() as arriving:
        for url, note in ((arriving.url, "it arrives"), (_SILENT, "nobody is there")):
            draft = {"url": url, "topics": ["feed.changed", "case.opened"], "note": note}
            id = client.post("/v1/webhooks", json=draft).raise_for_status().json()["id"]
            client.post(f"/v1/webhooks/{id}/test").raise_for_status()
        client.post("/v1/webhooks/1/secret").raise_for_status()
        client.patch("/v1/contributions/1", json={"severity": 3}).raise_for_status()
        _wait_until(lambda: all(len(_attempted_deliveries(client, id)) == 2 for id in (1, 2)))
    webhooks = client.get("/v1/webhooks").raise_for_status().json()["webhooks"]
    return [
        {
            "note": webhook["note"],
            "topics": webhook["topics"],
            "deliveries": _attempted_deliveries(client, webhook["id"]),
        }
        for webhook in webhooks
    ]


def _attempted_deliveries(client: httpx.Client, webhook: int) -> list[list[str]]:
    """The topics and outcomes of the attempted deliveries."""
    deliveries = client.get(f"/v1/webhooks/{webhook}/deliveries").raise_for_status().json()["deliveries"]
    return sorted([delivery["topic"], delivery["outcome"]] for delivery in deliveries if delivery["attempts"])


def _wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIMEOUT
    while not condition():
        assert time.monotonic() < until, "no delivery was made"
        time.sleep(0.1)


def _post_if_supported(client: httpx.Client, path: str, body: dict[str, object]) -> None:
    """Send a request that some versions do not support yet."""
    response = client.post(path, json=body)
    assert response.is_success or response.status_code in (404, 405), f"{path}: {response.text}"


def _item(seed: int) -> dict[str, object]:
    signals = [signal_text(seed), *([f"phash:{seed:02d}5a5a3c3cf00f99"] if seed % 3 == 0 else [])]
    return {"signals": signals, "labels": ["glorification"], "removed_at": _REMOVED, "quality": 90,
            "severity": seed % 5, "reference": f"own-{seed}"}  # fmt: skip


def _matches(client: httpx.Client) -> dict[str, list[int]]:
    """The ids of the contributions that each signal matches."""
    queries = [{"signals": [signal_text(seed)]} for seed in range(_ITEMS)]
    results = client.post("/v1/matches", json={"queries": queries}).raise_for_status().json()["results"]
    return {str(seed): [match["contribution"] for match in result["matches"]] for seed, result in enumerate(results)}


def _dump(server: OwnServer, url: str) -> str:
    command = [str(server.programs / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Leave out comments and the commands of psql. Keep empty lines: a signed note has one.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("--", "\\")))


def _write(schema: str, database: str, text: str) -> None:
    (FOLDER / f"{schema}.{database}.sql.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
