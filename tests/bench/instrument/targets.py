"""What is measured: the gateway, the floor, and nchan; each pinned, with a Redis of its own, ended by pid."""

import atexit
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from harness import http, tls
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


def certificate():
    """One for all servers of a run, of the kind that is cheapest to shake hands with."""
    if not CERTIFICATE:
        directory = tempfile.mkdtemp(prefix="sluice-bench-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        CERTIFICATE.append(tls.Pair(directory, "bench"))
    return CERTIFICATE[0]


CERTIFICATE = []


class Target:
    """
    A running server: its dialect, port and pid, the port that is published to, how it ends, and its
    wire: streams come in "clear", over "tls" (HTTP/1), or as "h2" (HTTP/2 over TLS).
    """

    dialect, wire = "sluice", "clear"
    redis = None

    @property
    def publish_port(self):
        return self.redis.port

    def check_counts(self, swarm):
        """What is wrong with the server's own counts, None when nothing is."""

    def close(self):
        if self.redis:
            self.redis.close()


class Sluice(Target):
    def __init__(self, workers=1, wire="clear", **settings):
        self.name, self.wire = "sluice" if workers == 1 else f"sluice, {workers} workers", wire
        self.name += f", {wire}" * (wire != "clear")
        self.redis = Redis(within=CLIENT_CORE)
        if wire != "clear":
            settings = {"tls": certificate().settings, "listen": ["http://127.0.0.1:0", "127.0.0.1:0"], **settings}
        self.gateway = Gateway(self.redis, kind="release", within=SERVER_CORE, workers=workers, **settings)
        self.port, self.pid = self.gateway.ports[-1], self.gateway.child.pid

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
    def __init__(self, batch=False, replay=False):
        self.name = "floor, batching" if batch else "floor"
        self.redis = Redis(within=CLIENT_CORE)
        argv = [*SERVER_CORE.prefix, str(BUILD / "floor"), str(self.redis.port), CHANNELS + "0"]
        self.child = spawn(argv + ["--batch"] * batch + ["--replay"] * replay, stdout=subprocess.PIPE)
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
        {secure}
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
# Records as small as its documentation advises against latency, which are buffers too; no cache of
# sessions, since nobody comes back.
NCHAN_SECURE = """listen 127.0.0.1:{port} ssl {http2} backlog=4096;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_cache off;
        ssl_buffer_size 4k;
"""
NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


class Nchan(Target):
    dialect = "nchan"
    name = "nchan"

    def __init__(self, wire="clear"):
        self.dir = tempfile.mkdtemp(prefix="sluice-nchan-")
        self.wire, self.clear_port = wire, free_port()
        self.name += f", {wire}" * (wire != "clear")
        self.port = self.clear_port if wire == "clear" else free_port()
        path = os.path.join(self.dir, "nginx.conf")
        text = NCHAN.format(module=NCHAN_MODULE, dir=self.dir, port=self.clear_port, files=20000, connections=15000,
                            secure=self._secure())
        pathlib.Path(path).write_text(text, encoding="ascii")
        argv = [*SERVER_CORE.prefix, "nginx", "-c", path, "-e", os.path.join(self.dir, "error")]
        self.child = spawn(argv)
        self.pid = self.child.pid
        until(self._answers, 10, "nginx to answer")

    def _secure(self):
        if self.wire == "clear":
            return ""
        return NCHAN_SECURE.format(port=self.port, http2="http2" if self.wire == "h2" else "",
                                   **certificate().settings)

    @property
    def publish_port(self):
        return self.clear_port

    def _errors(self):
        return pathlib.Path(self.dir, "error").read_text(encoding="utf-8", errors="replace")

    def _answers(self):
        assert self.child.poll() is None, self._errors()
        try:
            return http.request(("127.0.0.1", self.clear_port), "GET", "/", timeout=2).status
        except OSError:
            return False

    def close(self):
        self.child.terminate()
        wait_end(self.child)
        shutil.rmtree(self.dir, ignore_errors=True)


def cpu_ns(pid):
    """Time of a process on a CPU, as its scheduler counts it."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


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
