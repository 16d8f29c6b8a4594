# One image for every process: web (the default), `python manage.py worker`, `python manage.py migrate`.

FROM python:3.13-slim-bookworm AS build
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
RUN python -m venv .venv
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY . .
RUN python -m tools.messages compile \
 && SECRET_KEY=unused DATA_DIR=/tmp python manage.py collectstatic --noinput -v 0 \
 && python -m compileall -q accounts campaigns directory project reports

FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin vestnik \
 && install -d -o vestnik -g vestnik /data
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DATA_DIR=/data
COPY --from=build /app /app
USER vestnik
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/healthz', timeout=2)"]
CMD ["gunicorn", "project.wsgi"]
