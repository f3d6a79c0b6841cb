"""The web part for any WSGI server: `granian --interface wsgi wsgi:application`, beside `gateway worker`.

Reads settings.toml, or what GATEWAY_SETTINGS names. `gateway run` and `gateway web` need no such file.
"""

from gateway.bootstrap import build, make_key, read_settings
from gateway.settings import settings_path
from gateway.web import create_app

application = create_app(build(make_key(read_settings(settings_path()))))
