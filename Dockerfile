# The consent gateway: one image for gateway run, web, worker and migrate.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY migrations migrations
RUN python -m venv /opt/gateway && /opt/gateway/bin/pip install --no-cache-dir '.[otlp]'

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /var/lib/gateway --create-home gateway \
    && install -d -o gateway -g gateway /etc/gateway/instance
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 \
    GATEWAY_SETTINGS=/etc/gateway/settings.toml GATEWAY__WEB__HOST=0.0.0.0 GATEWAY__WEB__PORT=8080
# As a number: Kubernetes cannot tell from a name that it is not root.
USER 10001:10001
WORKDIR /var/lib/gateway
# gateway run keeps its database and key here: mount it, and settings.toml beside it at /etc/gateway/settings.toml.
VOLUME /etc/gateway/instance
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client as c; r = c.HTTPConnection('127.0.0.1', 8080, timeout=4); r.request('GET', '/readyz'); raise SystemExit(r.getresponse().status != 200)"]
CMD ["gateway", "run"]
