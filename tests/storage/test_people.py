"""Users, passwords, one-time links and the audit log, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from gateway.errors import RequestInvalid
from gateway.storage import people
from gateway.storage.audits import list_audits, log_audit
from gateway.storage.database import Database
from gateway.storage.people import Role
from gateway.storage.reading.keyset import Cursor
from gateway.storage.throttles import count_try, forget_tries, tries

PASSWORD = "correct horse battery"


def _add(
    database: Database, name: str = "ada", role: Role = Role.OWNER, password: str | None = PASSWORD
) -> people.User:
    return people.add_user(database, name=name, role=role, actor="command line", password=password)


def test_a_password_is_kept_as_a_hash_of_argon2(any_database: Database) -> None:
    user = _add(any_database)
    assert user.password_hash.startswith("$argon2id$")
    assert PASSWORD not in repr(user)
    assert "argon2" not in repr(user)


def test_only_the_right_password_signs_in(any_database: Database) -> None:
    _add(any_database)
    assert people.sign_in(any_database, "ada", PASSWORD) is not None
    assert people.sign_in(any_database, "ada", PASSWORD + "x") is None
    assert people.sign_in(any_database, "eve", PASSWORD) is None


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", "must have at least 12 characters"),
        ("ababababababab", "must have at least 5 different characters"),
        ("ADA is my name 1", "must not hold the user name"),
        ("x1y2z3" * 100, "must have at most 512 characters"),
    ],
)
def test_a_weak_password_is_refused_with_the_rule(any_database: Database, password: str, fault: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        _add(any_database, password=password)
    assert refused.value.errors == {"password": [fault]}
    assert people.list_users(any_database) == []


def test_two_users_cannot_share_a_name_in_any_case(any_database: Database) -> None:
    _add(any_database)
    with pytest.raises(RequestInvalid, match="is taken"):
        _add(any_database, "Ada")


def test_roles_include_what_is_below_them() -> None:
    allowed = {(one, other) for one in Role for other in Role if one.may(other)}
    assert allowed == {
        (Role.VIEWER, Role.VIEWER),
        (Role.OPERATOR, Role.VIEWER),
        (Role.OPERATOR, Role.OPERATOR),
        (Role.OWNER, Role.VIEWER),
        (Role.OWNER, Role.OPERATOR),
        (Role.OWNER, Role.OWNER),
    }


def test_a_new_password_ends_the_sessions_of_the_old_one(any_database: Database) -> None:
    user = _add(any_database)
    changed = people.set_password(any_database, user.user_id, "another long phrase", actor="ada")
    assert changed.generation == user.generation + 1
    assert people.sign_in(any_database, "ada", PASSWORD) is None


def test_a_new_password_ends_a_link_that_is_still_good(any_database: Database) -> None:
    user = _add(any_database)
    token = people.invite(any_database, user.user_id, "", actor="ada").rpartition("/")[2]
    people.set_password(any_database, user.user_id, "another long phrase", actor="ada")
    assert people.find_link(any_database, token) is None


def test_a_first_link_is_given_only_while_there_is_nobody(any_database: Database) -> None:
    link = people.first_user_link(any_database, "https://gateway.example")
    assert link is not None
    assert link.startswith("https://gateway.example/admin/welcome/")
    assert people.use_link(any_database, link.rpartition("/")[2], name="ada", password=PASSWORD) is not None
    assert people.first_user_link(any_database, "https://gateway.example") is None


def test_a_link_that_nobody_gave_is_dead(any_database: Database) -> None:
    people.first_user_link(any_database, "")
    assert people.find_link(any_database, "") is None
    assert people.use_link(any_database, "guess", name="eve", password=PASSWORD) is None


def test_of_two_who_use_a_link_at_once_one_gets_in(any_database: Database) -> None:
    token = str(people.first_user_link(any_database, "")).rpartition("/")[2]
    first = people.use_link(any_database, token, name="ada", password=PASSWORD)
    second = people.use_link(any_database, token, name="eve", password=PASSWORD)
    assert first is not None
    assert second is None


def test_every_change_to_people_is_in_the_log(any_database: Database) -> None:
    owner, user = _add(any_database), _add(any_database, "bob", Role.VIEWER)
    people.change_user(any_database, user.user_id, role=Role.OPERATOR, stores=["acme"], actor="ada")
    people.set_disabled(any_database, user.user_id, disabled=True, actor="ada")
    people.end_sessions(any_database, owner.user_id, actor="ada")
    actions = [(one.actor, one.action, one.subject) for one in list_audits(any_database, Cursor()).rows]
    assert actions == [
        ("ada", "sessions_ended", "ada"),
        ("ada", "user_disabled", "bob"),
        ("ada", "user_changed", "bob"),
        ("command line", "user_added", "bob"),
        ("command line", "user_added", "ada"),
    ]


def test_the_log_is_read_page_by_page(any_database: Database) -> None:
    for at in range(60):
        log_audit(any_database, actor="ada", action="signed_in", subject=str(at))
    first = list_audits(any_database, Cursor())
    assert first.older is not None
    second = list_audits(any_database, first.older)
    assert [int(one.subject) for one in (*first.rows, *second.rows)] == list(range(59, -1, -1))
    assert second.newer is not None
    assert list_audits(any_database, second.newer).rows == first.rows


def test_tries_are_counted_until_their_time_is_over(sqlite_url: str) -> None:
    from tests.fakes import FixedClock

    clock = FixedClock()
    database = Database(sqlite_url, clock=clock)
    assert [count_try(database, "a", life_seconds=60) for _ in range(3)] == [1, 2, 3]
    assert tries(database, "a") == (3, clock() + timedelta(seconds=60))
    clock.pass_by(seconds=61)
    assert tries(database, "a")[0] == 0
    assert count_try(database, "a", life_seconds=60) == 1
    assert forget_tries(database, "a") == 1
    database.close()


def test_tries_at_the_same_moment_are_all_counted(any_database: Database) -> None:
    at_once = threading.Barrier(4)

    def one_try(key: str) -> int:
        at_once.wait()
        return count_try(any_database, key, life_seconds=60)

    with ThreadPoolExecutor(4) as threads:
        for key in "abcdefgh":
            assert sorted(threads.map(one_try, 4 * [key])) == [1, 2, 3, 4]
