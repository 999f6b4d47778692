"""Alerts and the dashboard ask for metrics that there are, and each alert leads to what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hashdb.domain.members import Scope
from hashdb.service import counts, uses
from tests.snippets import ROOT
from tests.web.callers import item, pdq, service_at

DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "hashdb.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = {"up": {"job", "instance"}}
Found = dict[str, set[str]]


def told() -> Found:
    """The metrics that a service tells that has seen a little of everything, and their labels."""
    with service_at(None) as service:
        platform, admin = service.caller(), service.caller(Scope.ADMIN)
        platform.contribute(item(1))
        platform.matched(pdq(1))
        platform.get("/v1/changes")
        service.app.extensions["hashdb"].metrics.deliver("delivered")
        counts.flush(service.db)
        uses.flush(service.db)
        text = admin.get("/metrics").text
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, {"instance", "job"}).update(sample.labels)
    return found | OF_PROMETHEUS


def asked(node: object) -> Iterator[tuple[str, set[str]]]:
    """Every metric in an expression, with the labels by which it is chosen."""
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), {matcher.name for matcher in node.matchers.matchers}
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if (inner := getattr(node, name, None)) is not None:
            yield from asked(inner)
    for inner in getattr(node, "args", ()):
        yield from asked(inner)


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


def test_every_expression_asks_for_metrics_and_labels_that_there_are() -> None:
    found, used = told(), set()
    for expression in expressions():
        metrics = list(asked(promql_parser.parse(expression)))
        assert {name for name, _ in metrics} == set(re.findall(r"\b(?:hashdb_\w+|up)\b", expression))
        for name, labels in metrics:
            assert name in found, expression
            assert labels <= found[name], expression
            used.add(name)
        for labels in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            known = set().union(*(found[name] for name, _ in metrics))
            assert set(labels.replace(" ", "").split(",")) <= known, expression
    # And all that is told is shown, but what is of a worker or of a bucket only.
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}


def test_every_metric_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`hashdb_.*?) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told()} - set(OF_PROMETHEUS)
    assert documented == families


def test_every_alert_leads_to_what_to_do_and_back() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    heads = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert [rule["alert"] for rule in ALERTS] == heads
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_dashboard_asks_the_data_source_that_is_provisioned() -> None:
    provisioned: Any = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text("utf-8")
    )
    (source,) = provisioned["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (apt install promtool)")
def test_prometheus_itself_takes_the_rules_and_its_settings() -> None:
    for words in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yaml"]):
        done = subprocess.run(
            ["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
