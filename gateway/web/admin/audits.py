"""The audit log."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from gateway.storage.audits import list_audits
from gateway.storage.reading.keyset import Cursor
from gateway.web.admin.context import running
from gateway.web.admin.pages import pages


@pages.get("/audit", endpoint="audits")
def audit_log() -> ResponseReturnValue:
    """Show who signed in, changed or revealed what."""
    actor = request.args.get("actor", "").strip()
    page = list_audits(running().database, Cursor.of_text(request.args.get("page", "")), actor=actor)
    return render_template("admin/audits.html", section="audits", page=page, filters={"actor": actor})
