"""A Flask view that only reads the body, on the same server: what the machine could do at most."""

import sys

from flask import Flask, Response, request

from gateway.web.server import Served, serve


def build() -> Served:
    """Return an application that does nothing."""
    app = Flask("trivial")

    @app.post("/<path:_>")
    def read(_: str) -> Response:
        request.get_data()
        return Response(status=200)

    return Served(application=app, stop=lambda _: None)


if __name__ == "__main__":
    port, workers, threads = (int(word) for word in sys.argv[1:])
    serve(build, host="127.0.0.1", port=port, workers=workers, threads=threads)
