"""Alerts and the dashboard use existing metrics, and each alert has a section of the runbook."""

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

from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.service.accounts import members
from hashdb.service.background import Task
from hashdb.service.schedule import BACKGROUND_TASKS
from hashdb.service.stats import counts
from tests.postgres import PostgresServer
from tests.service.pages import follow_page
from tests.snippets import ROOT
from tests.web.callers import item, pdq, service_at

DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "hashdb.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRICS_OF_PROMETHEUS = {"up": {"job", "instance"}}
LATER_METRICS = {
    "hashdb_feed_events",
    "hashdb_upstream_caught_up_timestamp_seconds",
    "hashdb_witness_events",
    "hashdb_witness_refused",
}
"""The metrics that exist only once a key reads the feed, a list is followed, or a witness is asked."""
Metrics = dict[str, set[str]]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A database on PostgreSQL. With SQLite there are fewer metrics."""
    with postgres.new_database(postgres_template) as url:
        yield url


@pytest.fixture(scope="module")
def metrics(database: str, tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """The metrics of a service after requests of every kind, with their labels."""
    policy = tmp_path_factory.mktemp("policy") / "policy.txt"
    policy.write_text(f"witness w1 {Cosigner.new('w1.example').key} https://w1.example\nquorum w1\n")
    with service_at(database, home=ROOT, certificate=ROOT / "none", witnesses=policy) as service:
        platform, admin = service.caller(), service.caller(Scope.ADMIN)
        platform.contribute(item(1))
        platform.matched(pdq(1))
        platform.get("/v1/changes")
        service.app.extensions["hashdb"].metrics.count_delivery("delivered")
        counts.flush(service.db)
        members.flush(service.db)
        follow_page(service.db)
        text = admin.get("/metrics").text
    metrics: Metrics = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                metrics.setdefault(sample.name, {"instance", "job"}).update(sample.labels)
    return metrics | METRICS_OF_PROMETHEUS


def selectors(node: object) -> Iterator[Any]:
    """The selectors of metrics in an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if (inner := getattr(node, name, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(node, "args", ()):
        yield from selectors(inner)


def expressions() -> Iterator[str]:
    """The expressions of all alerts and panels."""
    yield from (rule["expr"] for rule in ALERTS)
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


def selected(node: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Every metric in an expression, with the labels that it compares for equality."""
    for selector in selectors(node):
        equal = [matcher for matcher in selector.matchers.matchers if matcher.op == promql_parser.MatchOp.Equal]
        labels = {matcher.name: matcher.value for matcher in equal if matcher.name not in ("job", "instance")}
        yield str(selector.name), labels


def test_the_metrics_of_alerts_and_dashboard_are_in_the_first_scrape(postgres_url: str) -> None:
    with service_at(postgres_url, home=ROOT, certificate=ROOT / "none") as service:
        text = service.caller(Scope.ADMIN).get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for expression in expressions():
        for name, labels in selected(promql_parser.parse(expression)):
            if name not in {*METRICS_OF_PROMETHEUS, *LATER_METRICS}:
                assert any(sample.name == name and labels.items() <= sample.labels.items() for sample in samples), (
                    expression
                )


def test_the_expressions_use_every_metric_and_only_existing_labels(metrics: Metrics) -> None:
    used = set()
    for expression in expressions():
        selections = [
            (str(selector.name), {matcher.name for matcher in selector.matchers.matchers})
            for selector in selectors(promql_parser.parse(expression))
        ]
        assert {name for name, _ in selections} == set(re.findall(r"\b(?:hashdb_\w+|process_\w+|up)\b", expression))
        for name, labels in selections:
            assert name in metrics, expression
            assert labels <= metrics[name], expression
            used.add(name)
        for labels in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            known = set().union(*(metrics[name] for name, _ in selections))
            assert set(labels.replace(" ", "").split(",")) <= known, expression
    # Every family of metrics is used, by one of its series.
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}


def test_the_documented_metrics_are_those_of_the_service(metrics: Metrics) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
    documented = {
        name
        for row in re.findall(r"^\| (`(?:hashdb|process)_.*?) \|", page, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics} - set(METRICS_OF_PROMETHEUS)
    assert documented == families


def test_every_background_task_is_documented_with_its_period() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rows = page.partition("\n### Background tasks\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|", rows, re.M))
    assert documented == {str(plan.task): plan.when for plan in BACKGROUND_TASKS} and documented.keys() == set(Task)


def test_every_alert_has_a_section_of_the_runbook_and_links_to_it() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    heads = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert [rule["alert"] for rule in ALERTS] == heads
    for rule in ALERTS:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_the_dashboard_uses_the_provisioned_data_source() -> None:
    provisioned: Any = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text("utf-8")
    )
    (source,) = provisioned["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_alert_has_a_test_that_fires_it_and_a_test_that_does_not() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yaml").read_text("utf-8"))["tests"]
    for rule in ALERTS:
        count = {True: 0, False: 0}
        for test in tests:
            for case in test["promql_expr_test"]:
                if f'alertname="{rule["alert"]}"' in case["expr"]:
                    count[bool(case["exp_samples"])] += 1
        assert count[True] and count[False], rule["alert"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (apt install promtool)")
def test_promtool_accepts_the_rules_and_the_configuration() -> None:
    for words in (
        ["check", "rules", "alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ):
        result = subprocess.run(
            ["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
