"""Retry and cancel, each asked once: one delivery, a selection or a time range; and paused destinations resumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.model.delivery import DeliveryState
from gateway.storage import pausing
from gateway.storage.audits import Audit, write_audit
from gateway.storage.reading.deliveries import RANGE_ROWS, DeliveryRow, deliveries_between, read_deliveries
from gateway.storage.reading.keyset import read_id
from gateway.storage.statements import Connection
from gateway.storage.waiting import cancel, retry_now
from gateway.web.admin import words
from gateway.web.admin.clock import read_minute
from gateway.web.admin.context import is_our_page, running, the_user, visible_stores
from gateway.web.admin.deliveries import destinations_of, may_be_retried
from gateway.web.admin.pages import pages

SHOWN = 20  # how many deliveries a confirmation names
_LOGGED = 100  # how many ids an audit entry holds


@dataclass(frozen=True, slots=True)
class Verb:
    """What may be done with deliveries: its words, and what it leaves alone."""

    name: str
    ask: str
    explain: str
    done: str
    unfit: str
    audit: str


RETRY = Verb(
    "retry",
    "Try again now?",
    "Each is decided anew by the policy in force and, if that allows it, sent again. What was suppressed stays so.",
    "will be tried again",
    "Only what failed, was stopped or waits for its turn can be tried again, at a destination that is there.",
    "retried",
)
CANCEL = Verb(
    "cancel",
    "Cancel for good?",
    "What still waits is never sent. What is on its way at this moment cannot be called back.",
    "cancelled",
    "Only what still waits can be cancelled.",
    "cancelled",
)
VERBS = {verb.name: verb for verb in (RETRY, CANCEL)}


@pages.post("/deliveries/ask")
def ask() -> ResponseReturnValue:
    """Say what would be done, and ask once."""
    verb = VERBS.get(request.form.get("verb", ""))
    if verb is None:
        abort(400)
    ids = _ranged() if request.form.get("scope") == "range" else _selected()
    rows = [row for row in _visible(ids) if _fits(row, verb)]
    back = _back()
    if not rows:
        flash(verb.unfit if ids else "Nothing was chosen.")
        return redirect(back, 303)
    return render_template(
        "admin/ask.html", section="deliveries", verb=verb, rows=rows, shown=SHOWN, back=back, most=RANGE_ROWS
    )


@pages.post("/deliveries/act")
def act() -> ResponseReturnValue:
    """Do what was asked, and write it down."""
    verb = VERBS.get(request.form.get("verb", ""))
    if verb is None:
        abort(400)
    rows = [row for row in _visible(_selected()) if _fits(row, verb)]
    count = _act(verb, rows) if rows else 0
    flash(f"{words.count(count, 'delivery', 'deliveries')} {verb.done}.")
    return redirect(_back(), 303)


@pages.post("/deliveries/resume")
def resume() -> ResponseReturnValue:
    """Let a paused destination get deliveries again, and write it down."""
    store_id, destination_id = request.form.get("store", ""), request.form.get("destination", "")
    if store_id not in visible_stores() or destination_id not in destinations_of(store_id):
        abort(404)
    now, actor = running().database.now(), the_user().name

    def job(connection: Connection) -> bool:
        is_resumed = pausing.resume(connection, destination_id, now=now)
        if is_resumed:
            audit = Audit(at=now, actor=actor, action="resumed", store_id=store_id, subject=destination_id)
            write_audit(connection, audit)
        return is_resumed

    if running().database.write(job):
        flash(f"{destination_id} gets deliveries again.")
    return redirect(_back(), 303)


def _act(verb: Verb, rows: Sequence[DeliveryRow]) -> int:
    now, actor = running().database.now(), the_user().name
    ids = [row.delivery_id for row in rows]

    def job(connection: Connection) -> int:
        if verb is RETRY:
            count = retry_now(connection, ids, now=now)
        else:
            state, reason = DeliveryState.CANCELLED, "operator"
            count = len(cancel(connection, ids, state=state, reason=reason, drop_bodies=False, now=now))
        for store_id in sorted({row.store_id for row in rows}):
            write_audit(connection, _audit(verb, actor, store_id, rows, now))
        return count

    return running().database.write(job)


def _audit(verb: Verb, actor: str, store_id: str, rows: Sequence[DeliveryRow], now: datetime) -> Audit:
    own = [row.delivery_id for row in rows if row.store_id == store_id]
    subject = f"delivery {own[0]}" if len(own) == 1 else words.count(len(own), "delivery", "deliveries")
    detail = {"deliveries": own[:_LOGGED], "count": len(own)}
    return Audit(at=now, actor=actor, action=verb.audit, store_id=store_id, subject=subject, detail=detail)


def _selected() -> list[int]:
    texts = request.form.getlist("id")[:RANGE_ROWS]
    return [number for text in texts if (number := read_id(text)) is not None]


def _ranged() -> list[int]:
    """Find a destination's deliveries in one state within a time; the oldest come first."""
    store_id, destination_id = request.form.get("store", ""), request.form.get("destination", "")
    since, until = read_minute(request.form.get("since", "")), read_minute(request.form.get("until", ""))
    state = request.form.get("state", "")
    if since is None or until is None or state not in set(DeliveryState) or store_id not in visible_stores():
        return []
    return running().database.read(
        lambda connection: deliveries_between(
            connection, store_id, destination_id, DeliveryState(state), (since, until)
        )
    )


def _visible(ids: Sequence[int]) -> list[DeliveryRow]:
    stores = visible_stores()
    rows = running().database.read(lambda connection: read_deliveries(connection, ids)) if ids else []
    return [row for row in rows if row.store_id in stores]


def _fits(row: DeliveryRow, verb: Verb) -> bool:
    return may_be_retried(row) if verb is RETRY else row.may_be_cancelled


def _back() -> str:
    """Return to where the question came from, which is a page of ours."""
    back = request.form.get("back", "")
    return back if is_our_page(back) else url_for("admin.deliveries")
