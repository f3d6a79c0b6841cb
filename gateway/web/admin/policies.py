"""Policy per store: every key explained, what-if before saving, and the history of versions."""

from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.errors import RequestInvalid
from gateway.flow.policies import policy_of
from gateway.flow.whatif import LAST_DAYS, LAST_ORDERS, WhatIf, what_if
from gateway.storage.audits import Audit, write_audit
from gateway.storage.policies import add_policy, lock_policies, newest_policy
from gateway.storage.reading.policies import PolicyVersion, read_newest, read_versions
from gateway.storage.statements import Connection
from gateway.web.admin import policy_form
from gateway.web.admin.context import running, the_user, visible_stores
from gateway.web.admin.pages import pages
from gateway.web.admin.policy_form import Difference, differences, read_policy_form

CHANGES_SHOWN = 50


@pages.get("/policy")
def policies() -> ResponseReturnValue:
    """List the stores with the policy in force; a single store's page at once."""
    stores = visible_stores()
    if len(stores) == 1:
        return redirect(url_for("admin.policy", store_id=stores[0]))
    newest = running().database.read(lambda connection: read_newest(connection, stores))
    return render_template("admin/policies.html", section="policy", stores=stores, newest=newest, form=policy_form)


@pages.get("/policy/<store_id>")
def policy(store_id: str) -> ResponseReturnValue:
    """Show a store's policy, to read or to change."""
    versions = _versions(store_id)
    return _shown(store_id, versions, _in_force(versions))


@pages.post("/policy/<store_id>/preview")
def policy_preview(store_id: str) -> ResponseReturnValue:
    """Show what the last orders would have become; nothing is saved."""
    versions = _versions(store_id)
    try:
        values = read_policy_form(request.form)
    except RequestInvalid as error:
        return _shown(store_id, versions, {**_in_force(versions), **request.form.to_dict()}, errors=error.errors)
    days = LAST_DAYS if request.form.get("span") == "days" else None
    version = (versions[0].version if versions else 0) + 1
    seen = what_if(running().database, running().targets, store_id, policy_of(version, values), days=days)
    return _shown(store_id, versions, values, seen=seen)


@pages.post("/policy/<store_id>/save")
def policy_save(store_id: str) -> ResponseReturnValue:
    """Make the next version, unless another was made meanwhile."""
    versions = _versions(store_id)
    try:
        values = read_policy_form(request.form)
    except RequestInvalid as error:
        return _shown(store_id, versions, {**_in_force(versions), **request.form.to_dict()}, errors=error.errors)
    if not differences(_in_force(versions), values):
        flash("Nothing was changed.")
        return redirect(url_for("admin.policy", store_id=store_id), 303)
    version = _save(store_id, values, request.form.get("based_on", ""))
    if version is None:
        text = "Somebody changed the policy meanwhile. Look at the version in force, then change it again."
        return _shown(store_id, versions, values, errors={"version": [text]})
    flash(f"Version {version} is in force.")
    return redirect(url_for("admin.policy", store_id=store_id), 303)


def _save(store_id: str, values: Mapping[str, Any], based_on: str) -> int | None:
    now, actor = running().database.now(), the_user().name

    def job(connection: Connection) -> int | None:
        lock_policies(connection, [store_id])
        newest = newest_policy(connection, store_id)
        if str(newest["version"] if newest else 0) != based_on:
            return None
        version = add_policy(connection, store_id, values, actor, now)
        changed = {
            one.title: [one.before, one.after] for one in differences(newest["values"] if newest else {}, values)
        }
        detail = {"version": version, "changed": changed}
        audit = Audit(at=now, actor=actor, action="policy_changed", store_id=store_id, subject=store_id, detail=detail)
        write_audit(connection, audit)
        return version

    return running().database.write(job)


def _versions(store_id: str) -> list[PolicyVersion]:
    return running().database.read(lambda connection: read_versions(connection, store_id))


def _in_force(versions: list[PolicyVersion]) -> dict[str, Any]:
    return dict(versions[0].values) if versions else dict(running().settings.policy)


def _history(versions: list[PolicyVersion]) -> list[tuple[PolicyVersion, list[Difference]]]:
    """Each version with what it changed; the first one changed nothing."""
    older = [*versions[1:], None]
    return [
        (one, differences(before.values, one.values) if before else [])
        for one, before in zip(versions, older, strict=True)
    ]


def _shown(
    store_id: str,
    versions: list[PolicyVersion],
    values: Mapping[str, Any],
    *,
    seen: WhatIf | None = None,
    errors: dict[str, list[str]] | None = None,
) -> ResponseReturnValue:
    page = render_template(
        "admin/policy.html",
        section="policy",
        store_id=store_id,
        stores=visible_stores(),
        values=values,
        changed=differences(_in_force(versions), values) if not errors else [],
        current=versions[0] if versions else None,
        history=_history(versions),
        seen=seen,
        errors=errors or {},
        form=policy_form,
        last_orders=LAST_ORDERS,
        last_days=LAST_DAYS,
        span=request.form.get("span", "orders"),
        changes_shown=CHANGES_SHOWN,
    )
    return page, 400 if errors else 200
