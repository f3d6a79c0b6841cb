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
    evidence = replace(_read(given), choices=answers.choices, entry=entry)
    evidence = noted(settled(evidence), *answers.notes, *_mistakes(given))
    if platform_source is not None:
        evidence = replace(evidence, source=platform_source)
    return with_gpc(evidence) if is_gpc(given.get("gpc")) or evidence.basis is Basis.GPC else evidence


def _read(given: dict[str, object]) -> Evidence:
    return Evidence(
        state=_state(given) or SignalState.PENDING,
        source=Source.SERVER if given.get("source") == Source.SERVER else Source.CLIENT,
        basis=basis_of(given.get("basis")) or Basis.IMPLIED,
        captured_at=instant_of(given.get("captured_at")),
        cmp=text_of(given.get("cmp"), most=64),
        session_id=_session_id(given),
        region=text_of(given.get("region"), most=16),
    )


def _mistakes(given: dict[str, object]) -> list[str]:
    has_time = not given.get("captured_at") or instant_of(given.get("captured_at"))
    return [
        "" if basis_of(given.get("basis")) else "basis: unknown word",
        "" if _state(given) else "state: unknown word",
        "" if has_time else "captured_at: not a time",
    ]


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
