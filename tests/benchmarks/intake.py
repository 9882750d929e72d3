"""The intake of a benchmark: in another process, answering 202 as fast as it can.

nginx where the system has it, else a small server of our own on `asyncio`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection, socket

import trustme

_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 512; }}
http {{
    access_log off; client_max_body_size 64m; client_body_buffer_size 8m;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 1000000; keepalive_timeout 600;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
        ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
        location / {{ return 202; }}
    }}
}}
"""


@dataclass(frozen=True)
class Intake:
    name: str
    url: str
    tls_url: str
    #: Path of the certificate authority's PEM file.
    authority: str


@contextmanager
def running_intake() -> Iterator[Intake]:
    with tempfile.TemporaryDirectory(prefix="intake") as folder:
        authority = _certificates(Path(folder))
        plain, tls = _free_ports(2)
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx:
            config = Path(folder, "nginx.conf")
            config.write_text(_NGINX.format(folder=folder, plain=plain, tls=tls))
            command = [nginx, "-c", str(config), "-e", "stderr"]
            name = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr.split()[-1]
        else:
            name = "asyncio"
            own = str(Path(__file__).with_name("own_intake.py"))
            command = [sys.executable, own, str(plain), str(tls), f"{folder}/server.pem"]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(plain)
            _wait_for(tls)
            yield Intake(
                name, f"http://127.0.0.1:{plain}", f"https://localhost:{tls}", str(authority)
            )
        finally:
            server.terminate()
            server.wait()


def _certificates(folder: Path) -> Path:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def _free_ports(count: int) -> list[int]:
    holders = [socket() for _ in range(count)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [int(holder.getsockname()[1]) for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
