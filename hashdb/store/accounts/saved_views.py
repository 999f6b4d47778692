"""Saved views in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from hashdb.domain.accounts.saved_views import SavedView, ViewDraft
from hashdb.store.accounts.members import unique_name
from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import saved_views, users


class SavedViews(Repository):
    """Views within one transaction."""

    def add(self, user: int, draft: ViewDraft, now: datetime) -> int:
        """Record a view of a user, and return its id. Raises NameTaken."""
        row = {**attributes(draft, "page", "name", "query", "shared"), "user_id": user, "created_at": now}
        with unique_name(draft.name, "view"):
            return int(self._insert(saved_views, row).id)

    def one(self, id: int) -> SavedView:
        """One view of any user. Raises NotFound."""
        return _view(self._get_row(_VIEWS.where(saved_views.c.id == id), f"view {id}"))

    def visible(self, user: int, page: str | None = None) -> tuple[SavedView, ...]:
        """The views of a user and those that others share, of one list or of all: the own first, then by name."""
        query = _VIEWS.where(or_(saved_views.c.user_id == user, saved_views.c.shared))
        if page is not None:
            query = query.where(saved_views.c.page == page)
        query = query.order_by(saved_views.c.user_id != user, saved_views.c.name, saved_views.c.id)
        return tuple(map(_view, self._connection.execute(query)))

    def count(self, user: int) -> int:
        """How many views a user has."""
        return self._count(saved_views.c.user_id == user)

    def change(self, id: int, name: str, *, shared: bool) -> None:
        """Rename a view, share it or keep it to its owner. Raises NameTaken."""
        with unique_name(name, "view"):
            self._update(saved_views, id, name=name, shared=shared)

    def remove(self, id: int) -> None:
        """Delete a view."""
        self._delete(saved_views, saved_views.c.id == id)


_VIEWS = select(saved_views, users.c.name.label("user_name")).join_from(saved_views, users)


def _view(row: Any) -> SavedView:
    return SavedView(
        user=row.user_id, **attributes(row, "id", "user_name", "page", "name", "query", "shared", "created_at")
    )
