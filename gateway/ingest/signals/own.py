"""The gateway's own consent object, as a shop writes it on an order.

{"v": 1, "categories": {"marketing": true, "analytics": false}, "source": "client", "basis": "explicit",
 "captured_at": "2026-11-21T15:54:04Z", "cmp": "onetrust", "session_id": "...", "gpc": true, "state": "pending"}
"""

from dataclasses import replace

from gateway.ingest.answers import (
    SESSION_ID,
    Unreadable,
    answers_of,
    basis_of,
    entry_object,
    noted,
    settled,
    unreadable,
)
from gateway.ingest.fields import instant_of, text_of
from gateway.ingest.gpc import is_gpc, with_gpc
from gateway.model.consent import Basis, Evidence, SignalState, Source


def read_own(value: object, *, entry: str, platform_source: Source | None = None) -> Evidence:
    """Read the object from a JSON text or a dict; `platform_source` overrides the source that it claims."""
    try:
        given = entry_object(value)
        answers = answers_of(_categories(given))
    except Unreadable as why:
        return replace(unreadable(entry, str(why)), source=platform_source or Source.CLIENT)
    state, basis, captured_at = _state(given), basis_of(given.get("basis")), instant_of(given.get("captured_at"))
    evidence = Evidence(
        choices=answers.choices,
        state=state or SignalState.PENDING,
        source=platform_source or (Source.SERVER if given.get("source") == Source.SERVER else Source.CLIENT),
        basis=basis or Basis.IMPLIED,
        captured_at=captured_at,
        cmp=text_of(given.get("cmp"), most=64),
        session_id=_session_id(given),
        entry=entry,
        region=text_of(given.get("region"), most=16),
    )
    evidence = noted(
        settled(evidence),
        *answers.notes,
        "" if basis else "basis: unknown word",
        "" if state else "state: unknown word",
        "" if captured_at or not given.get("captured_at") else "captured_at: not a time",
    )
    return with_gpc(evidence) if is_gpc(given.get("gpc")) or evidence.basis is Basis.GPC else evidence


def _categories(given: dict[str, object]) -> dict[str, object]:
    version, categories = given.get("v", 1), given.get("categories")
    if isinstance(version, bool) or version != 1:
        raise Unreadable("v: not 1")
    if isinstance(categories, dict):
        return categories
    if categories is None and _state(given) is SignalState.PENDING:
        return {}
    raise Unreadable("categories: not an object")


def _state(given: dict[str, object]) -> SignalState | None:
    word = given.get("state")
    if word is None:
        return SignalState.ANSWERED
    return next((state for state in SignalState if state == word), None)


def _session_id(given: dict[str, object]) -> str | None:
    session_id = given.get("session_id")
    return session_id if isinstance(session_id, str) and SESSION_ID.fullmatch(session_id) else None
