"""A Flask view that only reads the body, on the same server: what the machine could do at most."""

import sys

from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

app = Flask("trivial")


@app.post("/<path:_>")
def read(_: str) -> Response:
    """Do nothing else."""
    request.get_data()
    return Response(status=200)


if __name__ == "__main__":
    port, workers, threads = (int(word) for word in sys.argv[1:])
    Granian(
        "tests.bench.trivial:app",
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        backlog=2048,
        backpressure=256,
        websockets=False,
        log_level=LogLevels.error,
    ).serve()
