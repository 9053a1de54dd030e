"""What is measured: the gateway, the floor, and nchan; each pinned, with a Redis of its own, ended by pid."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from harness import http
from harness.gateway import Gateway
from harness.process import spawn, until
from harness.redis import Redis, free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build/bench"
CHANNELS = "b"  # a channel is this and a number


class Core:
    """Stands before a command, so that it runs on one core."""

    def __init__(self, number):
        self.prefix = ["taskset", "-c", str(number)]


SERVER_CORE, CLIENT_CORE = Core(0), Core(1)


class Target:
    """A running server: its dialect, port and pid, the port of its Redis, and how it ends."""

    dialect = "sluice"
    redis = None

    @property
    def redis_port(self):
        return self.redis.port if self.redis else 0

    def check_counts(self, swarm):
        """What is wrong with the server's own counts, None when nothing is."""

    def close(self):
        if self.redis:
            self.redis.close()


class Sluice(Target):
    def __init__(self, workers=1, **settings):
        self.name = "sluice" if workers == 1 else f"sluice, {workers} workers"
        self.redis = Redis(within=CLIENT_CORE)
        self.gateway = Gateway(self.redis, kind="release", within=SERVER_CORE, workers=workers, **settings)
        self.port, self.pid = self.gateway.ports[0], self.gateway.child.pid

    def check_counts(self, swarm):
        seen = self.gateway.metrics()
        for name, own in (("sluice_deliveries_total", swarm.last["total_deliveries"]),
                          ("sluice_connections", swarm.last["streams"])):
            if seen[name] != own:
                return f"/metrics says {name} {seen[name]:.0f}, the swarm {own}"
        return None

    def close(self):
        try:
            self.gateway.stop()
        finally:
            self.gateway.clean()
            super().close()


def wait_end(child, seconds=10):
    """SIGTERM has been sent; SIGKILL when that is not enough."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class Floor(Target):
    def __init__(self, batch=False):
        self.name = "floor, batching" if batch else "floor"
        self.redis = Redis(within=CLIENT_CORE)
        argv = [*SERVER_CORE.prefix, str(BUILD / "floor"), str(self.redis.port), CHANNELS + "0"]
        self.child = spawn(argv + (["--batch"] if batch else []), stdout=subprocess.PIPE)
        line = self.child.stdout.readline().decode()
        self.port, self.pid = int(line.rsplit(":", 1)[1]), self.child.pid

    def close(self):
        self.child.terminate()
        wait_end(self.child)
        super().close()


# The leanest that its documentation and nginx's offer: one worker, memory store, no access log, small
# pools and buffers (they are memory a connection), messages kept only as long as a subscriber may
# need them for its place in the channel.
# `listen` has no `deferred`: with it this nginx never sees that a stream's client has gone. One process
# without a master: it dies with the run whatever happens.
NCHAN = """
load_module {module};
master_process off;
daemon off;
worker_rlimit_nofile {files};
pid {dir}/pid;
error_log {dir}/error warn;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    connection_pool_size 256;
    request_pool_size 1k;
    client_header_buffer_size 512;
    large_client_header_buffers 4 8k;
    client_max_body_size 4m;
    client_body_buffer_size 2m;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/pub/(.+)$ {{
            nchan_publisher http;
            nchan_channel_id $1;
            nchan_message_buffer_length 2000;
            nchan_message_timeout 10s;
        }}
        location ~ ^/sub/(.+)$ {{
            nchan_subscriber eventsource;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_eventsource_ping_interval 15;
        }}
    }}
}}
"""
NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


class Nchan(Target):
    dialect = "nchan"
    name = "nchan"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-nchan-")
        self.port = free_port()
        path = os.path.join(self.dir, "nginx.conf")
        text = NCHAN.format(module=NCHAN_MODULE, dir=self.dir, port=self.port, files=20000, connections=15000)
        pathlib.Path(path).write_text(text, encoding="ascii")
        argv = [*SERVER_CORE.prefix, "nginx", "-c", path, "-e", os.path.join(self.dir, "error")]
        self.child = spawn(argv)
        self.pid = self.child.pid
        until(self._answers, 10, "nginx to answer")

    def _errors(self):
        return pathlib.Path(self.dir, "error").read_text(encoding="utf-8", errors="replace")

    def _answers(self):
        assert self.child.poll() is None, self._errors()
        try:
            return http.request(("127.0.0.1", self.port), "GET", "/", timeout=2).status
        except OSError:
            return False

    def close(self):
        self.child.terminate()
        wait_end(self.child)
        shutil.rmtree(self.dir, ignore_errors=True)


def rss(target):
    status = pathlib.Path(f"/proc/{target.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


# ---- what must be there first -------------------------------------------------------------------


def run(*argv, **more):
    """A command that must end well; what it said is shown when it does not."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=900, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout.decode()[-3000:]}")


def build():
    jobs = os.environ.get("SLUICE_JOBS", "2")
    run("cmake", "--preset", "release", cwd=ROOT)
    run("cmake", "--build", "--preset", "release", "-j", jobs, cwd=ROOT)
    run("cmake", "-S", str(ROOT / "tests/bench"), "-B", str(BUILD), "-G", "Ninja")
    run("cmake", "--build", str(BUILD), "-j", jobs)


def install(packages):
    """
    Debian's packages, where they are missing. While that runs, a policy-rc.d says that nothing may be
    started: nginx is wanted as a program, not as the system's web server.
    """
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *packages]
    have = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    missing = [p for p in packages if f"installed {p}\n" not in have.replace("not-installed", "-")]
    if not missing:
        return
    print("installing", *missing)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        run(*as_root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{policy} && chmod 755 {policy}")
    try:
        run(*as_root, "apt-get", "update", "-q")
        run(*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
            "--no-install-recommends", *missing)
    finally:
        if ours:
            run(*as_root, "rm", "-f", str(policy))


# ---- the swarm, and system calls ----------------------------------------------------------------


def count_syscalls(target, work):
    """System calls of the target while work() runs, and what that returned; None when perf cannot."""
    argv = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(target.pid)]
    try:
        perf = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        return None, work()
    time.sleep(0.3)
    try:
        result = work()
    finally:
        perf.send_signal(2)
        try:
            text = perf.communicate(timeout=10)[1].decode()
        except subprocess.TimeoutExpired:
            perf.kill()
            text = ""
    found = re.search(r"^(\d+),,raw_syscalls", text, re.MULTILINE)
    return (int(found[1]) if found else None), result
