#!/usr/bin/env python3
"""`./dev bench-scale`: the engines of a scaled-out registry beside the embedded ones.

A registry over PostgreSQL and a Ceph object gateway takes turns with one over SQLite and a
directory, on the same disk, each time with empty stores and new state. PostgreSQL syncs its log to
the disk of this machine; the storage daemon of Ceph keeps objects in memory. Everything runs on this
machine, over loopback and HTTP, and shares its processors. CPU is user and system time of the
registry from `/proc/PID/stat`.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import disks as make_disks
import serve
from measure import MIB, Failed, Registry, Report, fresh, get, median
from run import REPOSITORY, Host, commit, today

GIB = 1 << 30
ACCESS_KEY, SECRET_KEY = "AKSEAWALL", "sksecret"
CLIENTS = 16
SECONDS = 8
PULLS = 3  # of each registry, so that the clock ticks of CPU time matter less

EMBEDDED = "SQLite, directory"
SCALED = "PostgreSQL, Ceph"
REDIRECTED = "PostgreSQL, Ceph, `--redirect`"
CACHED = "PostgreSQL, Ceph, `--cache`"
KINDS = [EMBEDDED, SCALED, REDIRECTED, CACHED]

CEPH = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {home}/keyring
run dir = {home}/run
admin socket = {home}/run/$name.$pid.asok
log file = {home}/log/$name.log
pid file = {home}/run/$name.pid
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
osd crush chooseleaf type = 0
mon data avail crit = 1
mon data avail warn = 2
osd objectstore = memstore
memstore device bytes = 8589934592
osd data = {home}/osd
mon data = {home}/mon
osd op num shards = 2
osd op num threads per shard = 2
osd class dir = /usr/lib/x86_64-linux-gnu/rados-classes
rgw data = {home}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
rgw enable lc threads = false
paxos propose interval = 0.05
paxos min wait = 0.01
osd mon report interval = 1
mon tick interval = 1
mon osd min up ratio = 0
osd heartbeat interval = 1
"""

HAPROXY = """
global
  maxconn 256
defaults
  mode http
  option http-keep-alive
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen seawall
  bind 127.0.0.1:{port}
  balance leastconn
{servers}
"""


class Services:
    """Processes that end with the bench."""

    def __init__(self):
        self.processes = []

    def start(self, command, **options):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def until(what, ready):
    """Waits until `ready` does not fail any more."""
    for _ in range(600):
        if ready():
            return
        time.sleep(0.1)
    raise Failed(f"{what} does not answer")


def answers(url):
    try:
        get(url)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Ceph:
    """A monitor, a storage daemon and a gateway."""

    def __init__(self, services, home):
        self.home = fresh(home)
        for folder in ("mon", "osd", "rgw", "run", "log"):
            (self.home / folder).mkdir()
        monitor, gateway = serve.free_port(), serve.free_port()
        self.endpoint = f"http://127.0.0.1:{gateway}"
        fsid = str(uuid.uuid4())
        (self.home / "ceph.conf").write_text(
            CEPH.format(home=self.home, fsid=fsid, monitor=monitor, gateway=gateway))
        keyring, monmap = self.home / "keyring", self.home / "monmap"
        self.run("ceph-authtool", "--create-keyring", keyring)
        for name, caps in (("mon.", ("mon", "allow *")), ("client.admin", ("mon", "allow *", "osd", "allow *")),
                           ("osd.0", ("mon", "allow profile osd", "osd", "allow *")),
                           ("client.rgw", ("mon", "allow *", "osd", "allow *"))):
            pairs = [word for i in range(0, len(caps), 2) for word in ("--cap", *caps[i:i + 2])]
            self.run("ceph-authtool", keyring, "--gen-key", "-n", name, *pairs)
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}]", monmap)
        self.ceph("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        services.start(self.command("ceph-mon", "-i", "a", "-f"))
        osd = str(uuid.uuid4())
        self.ceph("ceph", "osd", "new", osd, "0")
        self.ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        services.start(self.command("ceph-osd", "-i", "0", "-f"))
        services.start(self.command("radosgw", "-n", "client.rgw", "-f"))
        until("the gateway", lambda: answers(self.endpoint))
        self.ceph("radosgw-admin", "user", "create", "--uid=seawall", "--display-name=Seawall",
                  "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self.run("curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user",
                 f"{ACCESS_KEY}:{SECRET_KEY}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-X", "PUT",
                 f"{self.endpoint}/seawall")

    def command(self, program, *arguments):
        return [program, "-c", str(self.home / "ceph.conf"), *map(str, arguments)]

    def ceph(self, program, *arguments):
        self.run(*self.command(program, *arguments))

    def run(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")


class Postgres:
    """A server that syncs its log, at a port of this machine."""

    def __init__(self, services, home):
        self.home, self.port = fresh(home), serve.free_port()
        programs = max(Path("/usr/lib/postgresql").glob("*"), key=lambda path: int(path.name)) / "bin"
        self.owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self.owner:
            shutil.chown(self.home, "postgres", "postgres")
        options = {"cwd": self.home, **self.owner}
        init = [programs / "initdb", "--pgdata=data", "--username=seawall", "--no-instructions",
                "--encoding=UTF8", "--locale=C", "--auth=trust"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        services.start([programs / "postgres", "-D", "data", "-c", "listen_addresses=127.0.0.1",
                        "-p", str(self.port), "-c", "max_connections=200", "-k", "/tmp"], **options)
        until("PostgreSQL", lambda: self.sql("SELECT 1").returncode == 0)

    def sql(self, text):
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "seawall", "-d", "postgres", "-c", text]
        return subprocess.run(command, capture_output=True, text=True)

    def database(self, name):
        made = self.sql(f"CREATE DATABASE {name}")
        if made.returncode != 0:
            raise Failed(made.stderr)
        return f"postgres://seawall@127.0.0.1:{self.port}/{name}"


class Bench:
    def __init__(self, options, work, services):
        self.options, self.work, self.services = options, work, services
        self.ceph, self.postgres = Ceph(services, work / "ceph"), Postgres(services, work / "postgres")
        self.report = Report(f"A scaled-out registry, {today()}, commit {commit()}")
        self.count = 0

    def registry(self, kind, name, more=(), home=None, place=None):
        """A registry of a kind over new stores, or over those of `place`."""
        home = fresh(home or self.work / name)
        if kind == EMBEDDED:
            return Registry(home)
        if place is None:
            self.count += 1
            place = self.place(f"round{self.count}")
        prefix, database = place
        arguments = ["--store", f"s3://seawall/{prefix}", "--catalog", database]
        arguments += ["--s3-endpoint", self.ceph.endpoint, "--s3-allow-http"]
        arguments += ["--redirect"] if kind == REDIRECTED else []
        arguments += ["--cache", f"{home}/cache:4GiB"] if kind == CACHED else []
        return Registry(home, more=[*arguments, *more], AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)

    def place(self, name):
        return name, self.postgres.database(name)

    def rounds(self, kinds):
        for i in range(self.options.rounds):
            yield from kinds[i % len(kinds):] + kinds[: i % len(kinds)]

    def run(self, name, disk):
        self.heading(name, disk)
        make_disks.warm(disk)
        if "flows" in self.options.only:
            self.push_and_pull(name, disk)
        if "balancer" in self.options.only:
            self.balancer(name, disk)

    def heading(self, name, disk):
        cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
        length, data = disk.stat().st_size >> 30, make_disks.data_len(disk)
        self.report.text(
            f"{os.cpu_count()} CPUs ({cpu}), load {os.getloadavg()[0]:.1f} at the start; median of "
            f"{self.options.rounds} rounds.", f"Command: `./dev bench-scale --disk FILE`", "",
            __doc__.split("\n\n", 1)[1].strip(), "",
            f"Disk `{name}`: {length} GiB, {data / MIB:.0f} MiB of data.")
        self.data = data

    def push_and_pull(self, name, disk):
        push, pull, cpu, load = ({kind: [] for kind in KINDS} for _ in range(4))
        sent = 0
        for kind in self.rounds(KINDS):
            with Registry_at(self.registry(kind, "ours")) as registry:
                before = registry.cpu()
                push[kind].append(Host(self.work / "host", registry).push(name, "1.0.0", disk))
                cpu[kind].append(registry.cpu() - before)
                if kind == CACHED:
                    Host(self.work / "puller", registry).pull(name, "1.0.0", disk)
                costs, before = [], registry.cpu()
                for _ in range(PULLS):
                    costs.append(Host(self.work / "puller", registry).pull(name, "1.0.0", disk))
                load[kind].append((registry.cpu() - before) / PULLS)
                pull[kind].append(median(costs))
                if kind == SCALED:
                    sent = max(cost.moved for cost in costs)
            shutil.rmtree(self.work / "puller")
        self.report.section("Push into empty stores and pull")
        rows = []
        for kind in KINDS:
            walls = [median(costs[kind]).wall for costs in (push, pull)]
            best = [min(cost.wall for cost in costs[kind]) for costs in (push, pull)]
            rows.append((kind, *(f"{wall:.2f} ({least:.2f})" for wall, least in zip(walls, best)),
                         f"{statistics.median(cpu[kind]):.2f}", f"{statistics.median(load[kind]):.2f}"))
        self.report.table(("", "push s, median (best)", "pull s, median (best)",
                           "registry CPU s of the push", "of a pull"), rows)
        self.report.text(f"A pull takes {sent / MIB:.0f} MiB of packs. With `--cache`, the cache holds them.")
        for what, costs in (("push", push), ("pull", pull)):
            ratio = median(costs[SCALED]).wall / median(costs[EMBEDDED]).wall
            self.report.bar(f"{what}: {SCALED} / {EMBEDDED}", ratio, 1.3)
        ratio = median(pull[REDIRECTED]).wall / median(pull[EMBEDDED]).wall
        self.report.bar(f"pull: {REDIRECTED} / {EMBEDDED}", ratio, 1.3)
        per_pull = statistics.median(load[REDIRECTED])
        self.report.bar("registry CPU per GiB of data pulled, `--redirect`", per_pull / (self.data / GIB), 0.05, " s")
        self.report.bar("registry CPU per GiB of packs read, `--redirect`", per_pull / (sent / GIB), 0.05, " s")

    def balancer(self, name, disk):
        """16 clients read ranges of packs through HAProxy, from one registry and from two."""
        place = self.place("balanced")
        cores = sorted(os.sched_getaffinity(0))
        rates, pinned = {1: [], 2: []}, {1: [], 2: []}
        with (Registry_at(self.registry(CACHED, "first", place=place)) as first,
              Registry_at(self.registry(CACHED, "second", place=place)) as second):
            registries = [first, second]
            Host(self.work / "host", first).push(name, "1.0.0", disk)
            packs = self.packs(place[0])
            for registry in registries:
                Host(self.work / "puller", registry).pull(name, "1.0.0", disk)
            script = serve.script(self.work / "balancer.lua", packs, lambda pack: f"/v1/packs/blake3:{pack.name}")
            urls = {count: self.haproxy(registries[:count]) for count in rates}
            for found, pins in ((rates, None), (pinned, cores)):
                for i, registry in enumerate(registries):
                    pin(registry, [cores[i % len(cores)]] if pins else cores)
                for count in self.rounds([1, 2]):
                    found[count].append(serve.rate(urls[count], script))
        self.report.section(f"{CLIENTS} clients behind HAProxy")
        rows = []
        for what, found in (("each on all processors", rates), ("each on a processor of its own", pinned)):
            one, two = (statistics.median(found[count]) for count in (1, 2))
            rows.append((what, f"{one:.0f}", f"{two:.0f}", f"{two / one:.2f}"))
        self.report.text(f"wrk, ranges of 4 MiB out of warm caches. HAProxy, wrk and the registries share "
                         f"{len(cores)} processors.")
        self.report.table(("", "one registry, MB/s", "two, MB/s", "ratio"), rows)
        one, two = (statistics.median(pinned[count]) for count in (1, 2))
        self.report.bar("two registries / one, each on a processor of its own", two / one, 1.6, at_least=True)

    def haproxy(self, registries):
        port = serve.free_port()
        servers = "\n".join(f"  server r{i} {registry.url.removeprefix('http://')} check"
                            for i, registry in enumerate(registries))
        conf = self.work / f"haproxy-{len(registries)}.cfg"
        conf.write_text(HAPROXY.format(port=port, servers=servers))
        self.services.start(["haproxy", "-f", str(conf), "-db"])
        url = f"http://127.0.0.1:{port}"
        until("HAProxy", lambda: answers(f"{url}/healthz"))
        return url

    def packs(self, prefix):
        """The packs in the bucket, with their lengths, as files would tell them."""
        url = f"{self.ceph.endpoint}/seawall?list-type=2&prefix={prefix}%2Fpacks%2F"
        command = ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user",
                   f"{ACCESS_KEY}:{SECRET_KEY}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", url]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = []
        for part in text.split("<Key>")[1:]:
            key, size = part.split("<", 1)[0], part.split("<Size>", 1)[1].split("<", 1)[0]
            found.append(Listed(key.rsplit("/", 1)[1], int(size)))
        return found


class Listed:
    """An object in a listing."""

    def __init__(self, name, size):
        self.name, self.st_size = name, size

    def stat(self):
        return self


class Registry_at:
    """A registry whose objects are not below its data directory."""

    def __init__(self, registry):
        self.registry = registry

    def __enter__(self):
        self.registry.__enter__()
        until("the registry", lambda: answers(f"{self.registry.url}/readyz"))
        return self.registry

    def __exit__(self, *why):
        self.registry.__exit__(*why)


def pin(registry, cores):
    """Lets every thread of a registry run on these processors only."""
    for task in Path(f"/proc/{registry.process.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench-scale", description=__doc__.split("\n")[0])
    parser.add_argument("--disk", metavar="FILE", type=Path, help="NAME-VERSION.raw; without it, one is made")
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind runs (5)")
    parser.add_argument("--only", metavar="SECTIONS", default="flows,balancer", help="flows, balancer")
    parser.add_argument("--work", metavar="DIR", help="where to work; needs some 10 GiB")
    parser.add_argument("--out", metavar="FILE", help="the report (docs/bench/DATE-scale-COMMIT.md)")
    options = parser.parse_args()
    options.only = options.only.split(",")
    work = Path(tempfile.mkdtemp(prefix="seawall-scale.", dir=options.work)).resolve()
    work.chmod(0o755)  # PostgreSQL runs as a user of its own
    out = Path(options.out) if options.out else REPOSITORY / "docs/bench" / f"{today()}-scale-{commit()}.md"
    try:
        if options.disk:
            name, disk = options.disk.name.split("-")[0], options.disk
        else:
            name, versions = next(iter(make_disks.make(work / "disks").items()))
            disk = next(iter(versions.values()))
        with Services() as services:
            bench = Bench(options, work, services)
            bench.run(name, disk)
        bench.report.write(out)
        print(f"\nwritten to {out}")
    except Failed as failure:
        raise SystemExit(f"bench-scale: {failure}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
