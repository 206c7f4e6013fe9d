"""gunicorn's configuration for several processes: `gunicorn -c deploy/gunicorn.conf.py`.

Everything comes from the settings GATEWAY_..., as with `gateway serve`. Each worker composes its own gateway after the
fork, so that no connection, key or thread is shared; a worker that refuses to start stops the whole server.
"""

from gateway import settings
from gateway.cli.serve import gunicorn_options

wsgi_app = "gateway.cli.serve:worker()"
preload_app = False
globals().update(gunicorn_options(settings.read()))
