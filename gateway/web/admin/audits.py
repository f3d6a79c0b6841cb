"""The audit log."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import render_template, request
from flask.typing import ResponseReturnValue

from gateway.storage.audits import Audit, list_audits
from gateway.storage.reading.keyset import Cursor
from gateway.web.admin.context import running, the_user
from gateway.web.admin.pages import pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One thing that an entry tells; with `before`, it was changed."""

    title: str
    text: str
    before: str | None = None


@pages.get("/audit", endpoint="audits")
def audit_log() -> ResponseReturnValue:
    """Show who signed in, changed or revealed what; to who owns some stores only, what was done to those."""
    actor, stores = request.args.get("actor", "").strip(), the_user().stores
    page = list_audits(running().database, Cursor.of_text(request.args.get("page", "")), actor=actor, stores=stores)
    return render_template(
        "admin/audits.html", section="audits", page=page, filters={"actor": actor}, details_of=details_of
    )


def details_of(audit: Audit) -> list[Detail]:
    """Return what an entry tells beside its subject."""
    detail = audit.detail or {}
    changed, before, after = (detail.get(name) for name in ("changed", "before", "after"))
    if isinstance(changed, Mapping):
        return [Detail(title=title, before=_text(old), text=_text(new)) for title, (old, new) in changed.items()]
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [name for name in after if before.get(name) != after[name]]
        return [Detail(title=name, before=_text(before.get(name)), text=_text(after[name])) for name in names]
    return [Detail(title=name, text=_text(value)) for name, value in detail.items() if value]


def _text(value: object) -> str:
    return (", ".join(map(str, value)) or "all") if isinstance(value, (list, tuple)) else str(value)
