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
OF_PROMETHEUS = {"up": {"job", "instance"}}
BEGINNING_LATER = {
    "hashdb_feed_events",
    "hashdb_upstream_caught_up_timestamp_seconds",
    "hashdb_witness_events",
    "hashdb_witness_refused",
}
"""The metrics that begin with the first key that reads the feed, list that is followed, or witness that is asked."""
Found = dict[str, set[str]]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A database of PostgreSQL: of SQLite there are fewer metrics."""
    with postgres.new_database(postgres_template) as url:
        yield url


@pytest.fixture(scope="module")
def found(database: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The metrics that a service tells that has seen a little of everything, and their labels."""
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
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, {"instance", "job"}).update(sample.labels)
    return found | OF_PROMETHEUS


def selectors(node: object) -> Iterator[Any]:
    """What an expression chooses of the metrics."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if (inner := getattr(node, name, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(node, "args", ()):
        yield from selectors(inner)


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS)
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


def chosen(node: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Every metric in an expression, with the labels of which it takes one value."""
    for selector in selectors(node):
        equal = [one for one in selector.matchers.matchers if one.op == promql_parser.MatchOp.Equal]
        yield str(selector.name), {one.name: one.value for one in equal if one.name not in ("job", "instance")}


def test_all_that_alerts_and_the_dashboard_ask_for_is_there_from_the_first_scrape_on(postgres_url: str) -> None:
    with service_at(postgres_url, home=ROOT, certificate=ROOT / "none") as service:
        text = service.caller(Scope.ADMIN).get("/metrics").text
    there = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for expression in expressions():
        for name, labels in chosen(promql_parser.parse(expression)):
            if name not in {*OF_PROMETHEUS, *BEGINNING_LATER}:
                assert any(one.name == name and labels.items() <= one.labels.items() for one in there), expression


def test_every_expression_asks_for_metrics_and_labels_that_there_are(found: Found) -> None:
    used = set()
    for expression in expressions():
        chosen = list(selectors(promql_parser.parse(expression)))
        metrics = [(str(one.name), {matcher.name for matcher in one.matchers.matchers}) for one in chosen]
        assert {name for name, _ in metrics} == set(re.findall(r"\b(?:hashdb_\w+|process_\w+|up)\b", expression))
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


def test_every_metric_is_documented_and_no_other(found: Found) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
    documented = {
        name
        for row in re.findall(r"^\| (`(?:hashdb|process)_.*?) \|", page, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in found} - set(OF_PROMETHEUS)
    assert documented == families


def test_every_background_task_is_documented_with_its_period() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rows = page.partition("\n### Background tasks\n")[2].partition("\n## ")[0]
    named = dict(re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|", rows, re.M))
    assert named == {str(plan.task): plan.when for plan in BACKGROUND_TASKS} and named.keys() == set(Task)


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


def test_every_alert_has_a_test_that_fires_it_and_one_that_does_not() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts.test.yaml").read_text("utf-8"))["tests"]
    for rule in ALERTS:
        ended = {True: 0, False: 0}
        for one in tests:
            for case in one["promql_expr_test"]:
                if f'alertname="{rule["alert"]}"' in case["expr"]:
                    ended[bool(case["exp_samples"])] += 1
        assert ended[True] and ended[False], rule["alert"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool (apt install promtool)")
def test_prometheus_itself_takes_the_rules_and_its_settings() -> None:
    for words in (
        ["check", "rules", "alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ):
        done = subprocess.run(
            ["promtool", *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
