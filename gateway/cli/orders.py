"""simulate, replay and reconcile: orders that were, that go again, and that never came."""

import argparse
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from gateway.bootstrap import build, make_key, make_targets
from gateway.cli.advice import about_store
from gateway.cli.beside import check_store, with_database
from gateway.cli.progress import progress_bar
from gateway.errors import RequestInvalid, StartRefused
from gateway.flow.parts import Target
from gateway.flow.policies import policy_of
from gateway.flow.reconcile import Report
from gateway.flow.replay import REPLAYABLE, replay
from gateway.flow.whatif import WhatIf, what_if
from gateway.ingest.fields import instant_of
from gateway.model.counting import count
from gateway.model.delivery import DeliveryState
from gateway.settings import load_settings
from gateway.storage.database import Database
from gateway.storage.policies import newest_policy

_DIGITS: Final = 9  # of a number of orders that both databases can count
_SINCE: Final = "such as 2026-11-21T15:54:04Z; UTC unless it names another zone"


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `gateway simulate`, `gateway replay` and `gateway reconcile`."""
    simulate = commands.add_parser("simulate", parents=[common], help="what the last orders would do otherwise")
    simulate.add_argument("--store", required=True, metavar="ID", help="whose orders")
    simulate.add_argument("--mode", choices=["off", "suppress", "anonymize"], help="instead of its mode")
    simulate.add_argument("--unknown", choices=["allow", "deny"], help="instead of its unknown rule")
    simulate.add_argument("--last", type=_count, default=1000, metavar="N", help="how many orders (default: 1000)")
    simulate.add_argument("--json", action="store_true", help="print JSON instead of tables")
    simulate.set_defaults(run=_simulate)
    again = commands.add_parser("replay", parents=[common], help="decide and send again")
    again.add_argument("--destination", required=True, metavar="ID", help="where to")
    again.add_argument("--since", required=True, type=_instant, metavar="TIME", help=_SINCE)
    states = [state.value for state in REPLAYABLE]
    again.add_argument(
        "--state", choices=states, default=DeliveryState.FAILED.value, help="which ones (default: failed)"
    )
    again.set_defaults(run=_replay)
    text = "fetch from the store what no webhook brought"
    fetch = commands.add_parser("reconcile", parents=[common], help=text, description=text)
    fetch.add_argument("--store", required=True, metavar="ID", help="a store that has [stores.api]")
    fetch.add_argument("--since", required=True, type=_instant, metavar="TIME", help=_SINCE)
    fetch.add_argument("--dry-run", action="store_true", help="count, and take nothing in")
    fetch.set_defaults(run=_reconcile)


def _count(text: str) -> int:
    digits = text.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {'9' * _DIGITS}")
    return int(digits)


def _instant(text: str) -> datetime:
    at = instant_of(text)
    if at is None:
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-21T15:54:04Z")
    return at


def _simulate(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    check_store(settings, arguments.store)
    targets = make_targets(settings)
    result = with_database(settings, lambda database: _what_if(database, targets, arguments))
    if arguments.json:
        print(json.dumps(_as_json(result), indent=2))
    else:
        _show(result)
    return 0


def _what_if(database: Database, targets: Mapping[str, Target], arguments: argparse.Namespace) -> WhatIf:
    newest = database.read(lambda connection: newest_policy(connection, arguments.store))
    if newest is None:
        raise RequestInvalid({"--store": ["has no policy yet; start the gateway once"]})
    asked = {"mode": arguments.mode, "unknown": arguments.unknown}
    values = {**newest["values"], **{key: value for key, value in asked.items() if value}}
    return what_if(database, targets, arguments.store, policy_of(newest["version"], values), arguments.last)


def _as_json(result: WhatIf) -> dict[str, object]:
    return {
        "store_id": result.store_id,
        "orders": result.orders,
        "changed_orders": result.changed_orders,
        "destinations": [
            {
                "destination": one.destination_id,
                "before": {
                    "as_is": one.before.as_is,
                    "redacted": one.before.redacted,
                    "suppressed": one.before.suppressed,
                },
                "after": {"as_is": one.after.as_is, "redacted": one.after.redacted, "suppressed": one.after.suppressed},
                "changed": one.changed,
            }
            for one in result.destinations
        ],
        "changes": [
            {
                "order_id": change.order_id,
                "number": change.number,
                "destination": change.destination_id,
                "before": change.before.action.value,
                "after": change.after.action.value,
                "reason": change.after.reason.value,
            }
            for change in result.changes
        ],
    }


def _show(result: WhatIf) -> None:
    console = Console()
    table = Table(title=f"{result.store_id}: {count(result.orders, 'order')}, {result.changed_orders} would change")
    for heading in ("destination", "as is", "redacted", "suppressed", "changed"):
        table.add_column(heading)
    for one in result.destinations:
        before, after = one.before, one.after
        table.add_row(
            one.destination_id,
            f"{before.as_is} -> {after.as_is}",
            f"{before.redacted} -> {after.redacted}",
            f"{before.suppressed} -> {after.suppressed}",
            str(one.changed),
        )
    console.print(table)


def _replay(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    if arguments.destination not in make_targets(settings):
        raise RequestInvalid({"--destination": [f"there is no destination {arguments.destination} in the settings"]})
    state = DeliveryState(arguments.state)
    done = with_database(
        settings,
        lambda database: replay(database, arguments.destination, arguments.since, state, actor="command line"),
    )
    again = f"{count(done.again, 'delivery', 'deliveries')} {'goes' if done.again == 1 else 'go'} again"
    bodies = "its body is gone" if len(done.gone) == 1 else "their bodies are gone"
    print(f"{again}; {len(done.gone)} cannot, {bodies}" if done.gone else again)
    for one in done.gone:
        print(f"  {one.delivery_id}: {one.store_id} order {one.order_id or '-'} {one.topic}")
    return 0


def _reconcile(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.settings)
    check_store(settings, arguments.store)

    def job(database: Database) -> Report:
        gateway = build(make_key(settings), database=database)
        with closing(gateway), progress_bar() as hear:
            return gateway.reconcile(
                arguments.store,
                arguments.since,
                is_dry=arguments.dry_run,
                progress=lambda done, total: hear("changes", done, total),
            )

    report = with_database(settings, job)
    if report.failure:
        advice = about_store(report.failure)
        raise StartRefused(f"{arguments.store} could not be read to the end ({report.failure}); {advice}")
    taken = len(report.found) if report.is_dry else report.taken
    verb = "would be" if report.is_dry else "was" if taken == 1 else "were"
    seen = count(report.seen, "change")
    print(f"{seen} had come by webhook, {len(report.found)} had not; {taken} {verb} taken in")
    for order_id in report.found:
        print(f"  order {order_id}")
    if report.unreadable:
        print(f"{report.unreadable} could not be read")
    return 0
