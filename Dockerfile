# One image for every process: web (the default), `python manage.py worker`, `python manage.py migrate`, the sandbox.
# It runs as an unprivileged user and on a read-only root; only /tmp, and /data if it is used, must be writable.

FROM python:3.13-slim-trixie AS build
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt ./
RUN python -m venv --without-pip .venv && pip --python .venv install --require-hashes -r requirements.txt
COPY . .
RUN python -m tools.messages compile \
 && DEBUG=1 DATA_DIR=/tmp/data python manage.py collectstatic --noinput -v 0 \
 && python -m tools.sbom > build/sbom.cdx.json \
 && python -m compileall -q accounts campaigns directory project reports

FROM python:3.13-slim-trixie
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DATA_DIR=/data
RUN install -d -o 10001 -g 10001 /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/healthz')"]
CMD ["gunicorn", "project.wsgi"]
