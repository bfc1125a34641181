"""Who receives in a bench: nginx where there is one, else the sink of this package."""

import http.client
import resource
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from tests.bench.processes import Process, module
from tests.bench.stage import Stage

HOST = "127.0.0.1"
READ_S = 10.0

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {home}/nginx.pid;
error_log {home}/error.log crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    # Every address of 127.0.0.0/8 is a receiver; strangers are turned away.
    server {{
        listen 0.0.0.0:{port} backlog=4096;
        allow 127.0.0.0/8;
        deny all;
        location / {{ return 200 "OK"; }}
        location = /count {{ stub_status; }}
    }}
}}
"""


@dataclass(slots=True)
class Receiver:
    """A running receiver. `kind` is what the table says of it."""

    kind: str
    port: int
    process: Process
    _asked: int = field(default=0, init=False)

    def count(self) -> int:
        """How many POSTs it has answered so far."""
        text = self._get("/count")
        if self.kind != "nginx":
            return int(text)
        # The third number of stub_status counts all requests, these questions too.
        self._asked += 1
        return int(text.splitlines()[2].split()[2]) - self._asked

    def records(self) -> list[tuple[int, str]]:
        """When each POST since the last question came, in nanoseconds of the monotonic clock, and its first member."""
        lines = self._get("/records").splitlines()
        return [(int(moment), member) for moment, _, member in (line.partition(" ") for line in lines)]

    def _get(self, path: str) -> str:
        self.process.check()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=READ_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def start_receiver(stage: Stage) -> Receiver:
    nginx = shutil.which("nginx")
    return _start_nginx(stage, nginx) if nginx else _start_sink(stage, "sink")


def start_recorder(stage: Stage) -> Receiver:
    """One that notes when each request came, to the microsecond: always the sink."""
    return _start_sink(stage, "recorder", "--record")


def _start_sink(stage: Stage, name: str, *options: str) -> Receiver:
    port_file = stage.directory / f"{name}.port"
    port_file.unlink(missing_ok=True)
    process = stage.processes.start(name, module("tests.bench.sink", "--port-file", str(port_file), *options))
    stage.processes.wait_for(process, port_file)
    return Receiver("epoll sink", int(port_file.read_text()), process)


def _start_nginx(stage: Stage, program: str) -> Receiver:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    # nginx changes to an ordinary user when root starts it; its temporary directories must be open to that one.
    home = Path(mkdtemp(prefix="nginx-", dir=stage.directory))
    home.chmod(0o755)
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(NGINX.format(home=home, port=port, files=files, connections=files - 64))
    process = stage.processes.start(
        "nginx", [program, "-p", str(home), "-c", str(config), "-e", str(home / "start.log")]
    )
    stage.processes.wait_for(process, home / "nginx.pid")
    return Receiver("nginx", port, process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
