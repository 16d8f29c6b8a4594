"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from project.chunked import measured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = measured(get_wsgi_application())
