# One image for every part: web, workers, beat, migrations. `docker build -t signet .`

FROM python:3.13-slim-trixie AS build
WORKDIR /build
COPY pyproject.toml ./
# The dependencies by themselves: a change of the code leaves their layer as it is. Wheels only, so that no compiler is
# needed. `otel` is part of it, or traces could not be switched on by a setting.
RUN python -m venv --without-pip /opt/signet \
    && python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"]["otel"], sep="\n")' > requirements.txt \
    && pip --python /opt/signet/bin/python install --no-cache-dir --only-binary :all: --requirement requirements.txt
COPY README.md LICENSE ./
COPY dispatcher dispatcher
COPY subscriptions subscriptions
COPY deliveries deliveries
COPY config config
RUN pip --python /opt/signet/bin/python install --no-cache-dir --no-deps .

FROM python:3.13-slim-trixie
# A number, because Kubernetes' runAsNonRoot knows no names. Nobody can log in as this user, and it owns no file.
RUN groupadd --gid 10001 signet \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin signet
COPY --from=build /opt/signet /opt/signet
WORKDIR /signet
COPY manage.py ./
ENV PATH=/opt/signet/bin:$PATH \
    DJANGO_SETTINGS_MODULE=config.settings \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
CMD ["granian", "--interface", "rsgi", "--http", "1", "--no-ws", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--http1-header-read-timeout", "10000", "--respawn-failed-workers", "--workers-kill-timeout", "20", "--log-level", "warning", "config.front:application"]
