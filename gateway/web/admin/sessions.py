"""The session list, and one session: what was heard and what waited."""

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from gateway.model.session import SessionState
from gateway.storage.reading.keyset import Cursor, Page
from gateway.storage.reading.sessions import SessionFilter, SessionRow, list_sessions, read_session
from gateway.web.admin.context import chosen_store, running, visible_stores
from gateway.web.admin.pages import pages


@pages.get("/sessions")
def sessions() -> ResponseReturnValue:
    """List a store's sessions."""
    store_id = chosen_store(request.args.get("store", ""))
    wanted = SessionFilter(analytics=_state("analytics"), marketing=_state("marketing"))
    cursor = Cursor.of_text(request.args.get("page", ""))
    page: Page[SessionRow] = Page(rows=())
    if store_id:
        page = running().database.read(lambda connection: list_sessions(connection, store_id, wanted, cursor))
    return render_template(
        "admin/sessions.html",
        section="sessions",
        store_id=store_id,
        stores=visible_stores(),
        page=page,
        filters={"analytics": wanted.analytics or "", "marketing": wanted.marketing or ""},
        states=SessionState,
    )


@pages.get("/sessions/<store_id>/<session_hash>")
def session(store_id: str, session_hash: str) -> ResponseReturnValue:
    """Show one session."""
    history = running().database.read(lambda connection: read_session(connection, store_id, session_hash))
    if history is None:
        abort(404)
    return render_template("admin/session.html", section="sessions", history=history, session=history.session)


def _state(name: str) -> SessionState | None:
    text = request.args.get(name, "")
    return SessionState(text) if text in set(SessionState) else None
