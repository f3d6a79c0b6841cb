"""A bare sqlite3 loop that writes one webhook and one delivery per commit: what a first version would do."""

import json
import sqlite3
import sys
import time
from pathlib import Path


def main(path: str, seconds: float, size: int) -> None:
    """Commit one by one and print how many commits per second that made."""
    Path(path).unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, key TEXT UNIQUE, body BLOB)")
    connection.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, event_id INTEGER, status INTEGER)")
    body, count, started_at = b"x" * size, 0, time.monotonic()
    while time.monotonic() - started_at < seconds:
        connection.execute("BEGIN IMMEDIATE")
        event = connection.execute("INSERT INTO events (key, body) VALUES (?, ?)", (str(count), body)).lastrowid
        connection.execute("INSERT INTO outbox (event_id, status) VALUES (?, 0)", (event,))
        connection.execute("COMMIT")
        count += 1
    print(json.dumps({"per_second": count / (time.monotonic() - started_at)}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
