"""The /v1 API, one file an area."""

from __future__ import annotations

from hashdb.web.api import accounts, contributions, jobs, ledger, matching, operation, review, sharing, stats

BLUEPRINTS = (
    accounts.me_api,
    matching.matches_api,
    contributions.blueprint,
    matching.signals_api,
    jobs.jobs_api,
    review.opinions_api,
    sharing.reversals_api,
    sharing.changes_api,
    sharing.webhooks_api,
    review.cases_api,
    review.proposals_api,
    review.incidents_api,
    matching.benign_api,
    accounts.members_api,
    ledger.events_api,
    ledger.proofs_api,
    stats.counts_api,
    stats.reports_api,
    operation.blueprint,
)
"""In the order of the tags in the OpenAPI document: for members, reviewers, administrators, auditors, operators."""
