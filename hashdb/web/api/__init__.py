"""The /v1 API, one file an area."""

from __future__ import annotations

from hashdb.web.api import accounts, contributions, ledger, matching, operation, review, sharing, stats

BLUEPRINTS = (
    contributions.blueprint,
    review.opinions_api,
    review.cases_api,
    matching.matches_api,
    sharing.reversals_api,
    matching.signals_api,
    sharing.changes_api,
    accounts.members_api,
    accounts.me_api,
    matching.benign_api,
    review.incidents_api,
    review.proposals_api,
    sharing.webhooks_api,
    ledger.events_api,
    stats.counts_api,
    stats.reports_api,
    ledger.proofs_api,
    operation.blueprint,
)
"""In the order in which the OpenAPI document lists their tags."""
