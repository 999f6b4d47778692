"""The menu of the console."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.members import Actor, Scope


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the menu: for who has the scope; `icon` is one of templates/console/icons.html."""

    label: str
    icon: str
    endpoint: str
    scope: Scope = Scope.AUDIT


MENU = (
    Entry("Overview", "home", "console.overviews.show"),
    Entry("Contributions", "folder", "console.contributions.browse"),
    Entry("Cases", "gavel", "console.cases.browse"),
    Entry("Match debugger", "search", "console.neighbors.ask"),
    Entry("Members and keys", "building", "console.members.browse"),
    Entry("Incidents", "alert", "console.incidents.browse"),
    Entry("Benign signals", "shield", "console.benign.browse"),
    Entry("Proposals", "users", "console.proposals.browse"),
    Entry("Audit log", "list", "console.events.browse"),
    Entry("Vocabulary", "tag", "console.labels.show"),
    Entry("Settings", "settings", "console.settings.show"),
    Entry("Users", "users", "console.users.browse"),
)


def seen_by(actor: Actor) -> tuple[Entry, ...]:
    """The menu of somebody."""
    return tuple(entry for entry in MENU if actor.has(entry.scope))
