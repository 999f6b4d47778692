"""The menu of the console."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.members import Actor, Scope


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the menu: for who has the scope; `icon` is one of templates/console/icons.html.

    `key` leads there after `g`; `apart` sets it off from what stands before it.
    """

    label: str
    icon: str
    endpoint: str
    key: str
    apart: bool = False
    scope: Scope = Scope.AUDIT


MENU = (
    Entry("Overview", "home", "console.overviews.show", "o"),
    Entry("Contributions", "folder", "console.contributions.browse", "c"),
    Entry("Cases", "gavel", "console.cases.browse", "k"),
    Entry("Match debugger", "search", "console.neighbors.ask", "d"),
    Entry("Members and keys", "building", "console.members.browse", "m", apart=True),
    Entry("Incidents", "alert", "console.incidents.browse", "i"),
    Entry("Benign signals", "shield", "console.benign.browse", "b"),
    Entry("Proposals", "users", "console.proposals.browse", "p"),
    Entry("Webhooks", "push", "console.webhooks.browse", "w"),
    Entry("Reports", "report", "console.reports.browse", "r", apart=True),
    Entry("Audit log", "list", "console.events.browse", "l"),
    Entry("Vocabulary", "tag", "console.labels.show", "v", apart=True),
    Entry("Settings", "settings", "console.settings.show", "t"),
    Entry("Users", "users", "console.users.browse", "u"),
)


def seen_by(actor: Actor) -> tuple[Entry, ...]:
    """The menu of somebody."""
    return tuple(entry for entry in MENU if actor.has(entry.scope))
