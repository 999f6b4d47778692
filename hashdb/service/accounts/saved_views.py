"""Saved views: a user keeps the filter of a list under a name, and may share it with all users."""

from __future__ import annotations

from dataclasses import replace

from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.saved_views import MOST_VIEWS, SavedView, ViewDraft, clean_query, query_fault
from hashdb.domain.accounts.users import Session
from hashdb.errors import Fault, NotFound, reject
from hashdb.service import HashDB
from hashdb.store import Transaction


def visible(db: HashDB, session: Session, page: str | None = None) -> tuple[SavedView, ...]:
    """The views that a user sees: its own ones first, then those that others share.

    `page` is the list whose views are returned; None for all lists.
    """
    with db.store.read() as tx:
        return tx.saved_views.visible(session.user.id, page)


def add(db: HashDB, session: Session, draft: ViewDraft) -> SavedView:
    """Save a view. Raises InvalidInput, NameTaken."""
    cleaned = replace(draft, query=clean_query(draft.query))
    with db.store.begin() as tx:
        tx.users.get(session.user.id, lock=True)
        full = tx.saved_views.count(session.user.id) >= MOST_VIEWS
        reasons = {
            "query": query_fault(cleaned.query),
            "name": f"cannot be saved: you already have {MOST_VIEWS} views; remove one first" if full else None,
        }
        reject(Fault(at, reason) for at, reason in reasons.items() if reason)
        return tx.saved_views.one(tx.saved_views.add(session.user.id, cleaned, db.now()))


def change(db: HashDB, session: Session, id: int, name: str, *, shared: bool) -> SavedView:
    """Rename an own view, and set whether it is shared with all users. Raises NotFound, NameTaken."""
    with db.store.begin() as tx:
        if _seen(tx, session, id).user != session.user.id:
            raise NotFound(f"view {id} among your own")
        tx.saved_views.change(id, name, shared=shared)
        return tx.saved_views.one(id)


def remove(db: HashDB, session: Session, id: int) -> SavedView:
    """Remove an own view; an admin may remove a shared one of others, too. Raises NotFound, ScopeMissing."""
    with db.store.begin() as tx:
        view = _seen(tx, session, id)
        if view.user != session.user.id:
            session.user.actor.require(Scope.ADMIN)
        tx.saved_views.remove(id)
    return view


def _seen(tx: Transaction, session: Session, id: int) -> SavedView:
    """A view that the user sees. Raises NotFound."""
    view = tx.saved_views.one(id)
    if view.user != session.user.id and not view.shared:
        raise NotFound(f"view {id}")
    return view
