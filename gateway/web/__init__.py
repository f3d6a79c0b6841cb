"""The pages and interfaces over HTTP: the only place that knows Flask."""

from flask import Flask

from gateway.flow.gateway import Gateway
from gateway.web.admin import register_admin
from gateway.web.api import make_api
from gateway.web.errors import register_errors
from gateway.web.events import make_events
from gateway.web.front import Front
from gateway.web.health import make_health
from gateway.web.proxies import trust_proxies
from gateway.web.refusals import tell_refusals
from gateway.web.renewals import make_renewals
from gateway.web.signals import make_signals
from gateway.web.webhooks import make_webhooks

_DOORS = (make_signals, make_events, make_renewals, make_api)


def create_app(gateway: Gateway) -> Flask:
    """Return the application, holding nothing but the gateway it was given."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.url_map.merge_slashes = False  # it redirects to whatever host the request names
    app.extensions["gateway"] = gateway
    register_errors(app)
    for make in _DOORS:
        door = make(gateway)
        tell_refusals(door, gateway)
        app.register_blueprint(door)
    app.register_blueprint(make_webhooks(gateway))
    app.register_blueprint(make_health(gateway))
    register_admin(app, gateway)
    trust_proxies(app, gateway.settings.web.trusted_proxies)
    return app


def create_front(gateway: Gateway, *, threads: int) -> Front:
    """Return what a server serves: webhooks, and the application behind them in so many threads."""
    return Front(gateway, create_app(gateway), threads=threads)


def create_health_app(gateway: Gateway) -> Flask:
    """Return the application of a process that takes nothing in: /healthz, /readyz and /metrics."""
    app = Flask(__name__, static_folder=None)
    register_errors(app)
    app.register_blueprint(make_health(gateway))
    return app
