"""simulate and replay: what an operator asks for."""

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from gateway.bootstrap import make_targets
from gateway.cli.manage import check_store, with_database
from gateway.errors import RequestInvalid
from gateway.flow.parts import Target
from gateway.flow.policies import policy_of
from gateway.flow.replay import REPLAYABLE, replay
from gateway.flow.whatif import WhatIf, what_if
from gateway.ingest.fields import instant_of
from gateway.model.counting import count
from gateway.model.delivery import DeliveryState
from gateway.settings import load_settings
from gateway.storage.database import Database
from gateway.storage.policies import newest_policy

_DIGITS: Final = 9  # of a number of orders that both databases can count
SINCE: Final = "such as 2026-11-21T15:54:04Z; UTC unless it names another zone"


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands of an operator."""
    simulate = commands.add_parser("simulate", parents=[common], help="what the last orders would do otherwise")
    simulate.add_argument("--store", required=True, metavar="ID", help="whose orders")
    simulate.add_argument("--mode", choices=["off", "suppress", "anonymize"], help="instead of its mode")
    simulate.add_argument("--unknown", choices=["allow", "deny"], help="instead of its unknown rule")
    simulate.add_argument("--last", type=_count, default=1000, metavar="N", help="how many orders (default: 1000)")
    simulate.add_argument("--json", action="store_true", help="print JSON instead of tables")
    simulate.set_defaults(run=_simulate)
    again = commands.add_parser("replay", parents=[common], help="decide and send again")
    again.add_argument("--destination", required=True, metavar="ID", help="where to")
    again.add_argument("--since", required=True, type=instant, metavar="TIME", help=SINCE)
    states = [state.value for state in REPLAYABLE]
    again.add_argument(
        "--state", choices=states, default=DeliveryState.FAILED.value, help="which ones (default: failed)"
    )
    again.set_defaults(run=_replay)


def _count(text: str) -> int:
    digits = text.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {'9' * _DIGITS}")
    return int(digits)


def instant(text: str) -> datetime:
    """Read a time given on the command line."""
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
