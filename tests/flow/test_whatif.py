"""What if: the last orders under another policy, by the code that decides, touching nothing."""

from typing import Any

import pytest
from sqlalchemy import delete, func, select

from gateway.flow.policies import policy_of
from gateway.flow.whatif import DestinationTally, Tally, WhatIf, what_if
from gateway.model.decision import Policy
from gateway.settings import DEFAULT_POLICY
from gateway.storage.tables import bodies, metadata
from tests.web.seed import ALL, NONE, PART, Story, admin_settings, open_story, tell

PRESENT = {**DEFAULT_POLICY, "mode": "suppress", "unknown": "deny"}


@pytest.fixture
def story(any_url: str) -> Any:
    """Four orders: all granted, marketing denied, all denied, and nothing known."""
    opened = open_story(admin_settings(any_url))
    for number, categories in ((1, ALL), (2, PART), (3, NONE), (4, None)):
        opened.post(opened.woo(number, categories))
    opened.clock.pass_by(hours=1)
    opened.dispatch()
    yield opened
    opened.gateway.database.close()


def _policy(**changes: Any) -> Policy:
    return policy_of(2, {**PRESENT, **changes})


def _seen(story: Story, last: int = 1000, **changes: Any) -> WhatIf:
    return what_if(story.gateway.database, story.gateway.targets, "acme", _policy(**changes), last)


def _after(seen: WhatIf) -> dict[str, tuple[int, int, int]]:
    return {
        one.destination_id: (one.after.as_is, one.after.redacted, one.after.suppressed) for one in seen.destinations
    }


def test_the_present_policy_changes_nothing(story: Story) -> None:
    seen = _seen(story)
    assert (seen.orders, seen.changes) == (4, ())
    assert _after(seen) == {"container": (1, 1, 2), "newsletter": (0, 1, 3), "statistics": (0, 2, 2)}


def test_each_destination_is_counted_before_and_after(story: Story) -> None:
    seen = _seen(story, mode="anonymize", unknown="allow")
    assert seen.destinations[0] == DestinationTally(
        destination_id="container",
        before=Tally(as_is=1, redacted=1, suppressed=2),
        after=Tally(as_is=2, redacted=2, suppressed=0),
        changed=2,
    )
    changed = [(one.order_id, one.destination_id) for one in seen.changes]
    assert ("4", "container") in changed
    assert ("1", "container") not in changed


def test_mode_off_sends_everything_as_it_came(story: Story) -> None:
    assert _after(_seen(story, mode="off")) == dict.fromkeys(("container", "newsletter", "statistics"), (4, 0, 0))


def test_the_rule_for_an_origin_counts(story: Story) -> None:
    seen = _seen(story, unknown_by_origin={"checkout": "allow"})
    assert {one.order_id for one in seen.changes} == {"4"}


def test_only_the_last_orders_are_looked_at(story: Story) -> None:
    story.clock.pass_by(seconds=5)
    story.post(story.woo(9, NONE))
    assert _seen(story, 1).orders == 1


def test_days_are_counted_back_from_now(story: Story) -> None:
    story.clock.pass_by(days=40)
    story.post(story.woo(9, NONE))
    seen = what_if(story.gateway.database, story.gateway.targets, "acme", _policy(), days=30)
    assert seen.orders == 1


def test_it_agrees_with_what_was_decided(story: Story) -> None:
    """Under the policy in force it says of every order what dispatch did."""
    actions = {(row["order_id"], row["destination_id"]): row["action"] for row in story.deliveries()}
    tallies = _after(_seen(story))
    for destination in tallies:
        told = [action for (_, one), action in actions.items() if one == destination]
        counted = tuple(told.count(word) for word in ("send_as_is", "send_redacted", "suppress"))
        assert tallies[destination] == counted


def test_it_needs_no_bodies(story: Story) -> None:
    before = _after(_seen(story, mode="anonymize"))
    story.gateway.database.write(lambda connection: connection.execute(delete(bodies)))
    assert _after(_seen(story, mode="anonymize")) == before


def test_it_touches_nothing(story: Story) -> None:
    def counts() -> dict[str, int]:
        return story.gateway.database.read(
            lambda connection: {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
        )

    before, rows = counts(), story.deliveries()
    _seen(story, mode="off")
    assert (counts(), story.deliveries()) == (before, rows)


def test_renewals_follow_the_rule_for_renewals(any_url: str) -> None:
    story = open_story(admin_settings(any_url))
    tell(story)
    inherited, unknown = _seen(story), _seen(story, renewals="unknown")
    assert "1051" not in {one.order_id for one in inherited.changes}
    assert "1051" in {one.order_id for one in unknown.changes}
    story.gateway.database.close()
