#!/usr/bin/env python3
"""`./dev bench`: Seawall beside the peers that are installed, in one run, on the same disks.

Programs take turns within each round, and each cell is the median of the rounds; peaks are the
highest seen. Disks are in the page cache; every store, pull and host state is new. What a run wrote
is synced before the next one begins. CPU time counts children and, for Seawall, the registry. A
peak below some 30 MiB is that of the harness.
"""

import argparse
import datetime
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import disks as make_disks
import formats
import peers as all_peers
import serve
from measure import MIB, Failed, Registry, Report, clean_environment, fresh, median, mib, run, stored

SECTIONS = ("push", "pull", "update", "patch", "formats", "big", "serve")
OURS = "**seawall**"
REPOSITORY = Path(__file__).resolve().parents[2]


class Host:
    """A host that runs `seawall` against a registry; it remembers nothing at first."""

    def __init__(self, home, registry):
        self.home, self.registry = fresh(home), registry
        self.env = clean_environment(self.home, SEAWALL_REGISTRY=registry.url)
        self.log = self.home.parent / f"{self.home.name}.log"

    def seawall(self, *arguments):
        """Runs one command; the bytes are those that the registry sent for it."""
        before = self.registry.counter("http_sent_bytes")
        command = ["env", "-C", str(self.home), "seawall", "--quiet", *map(str, arguments)]
        cost = run(command, self.env, self.registry, self.log)
        cost.moved = self.registry.counter("http_sent_bytes") - before
        return cost

    def push(self, name, version, disk, *options):
        before = self.registry.stored()
        cost = self.seawall("push", f"bench/{name}:{version}", "--machine", f"{name}={disk}", *options)
        cost.moved = self.registry.stored() - before
        return cost

    def pull(self, name, version, disk, into="pulled"):
        cost = self.seawall("pull", f"bench/{name}:{version}", "--into", into)
        self.check(into, disk)
        return cost

    def check(self, into, disk):
        """The bytes in `into` are those of `disk`."""
        (found,) = (self.home / into).rglob("*.raw")
        if not make_disks.same(found, disk):
            raise Failed(f"{found} differs from {disk}")


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.only = set(options.only.split(",")) if options.only else set(SECTIONS)
        if unknown := self.only - set(SECTIONS):
            raise SystemExit(f"there is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
        wanted = options.peers.split(",") if options.peers is not None else [p.program for p in all_peers.ALL]
        self.peers = [peer for peer in all_peers.ALL if peer.installed() and peer.program in wanted]
        self.disks = make_disks.take(options.disks) if options.disks else make_disks.make(work / "disks")
        if options.disk:
            self.disks = {name: self.disks[name] for name in options.disk.split(",")}
        self.report = Report(f"Bench of {today()}, commit {commit()}")

    def wants(self, *sections):
        return any(section in self.only for section in sections)

    def rounds(self, programs):
        """Every program once in each round; each round begins with another one."""
        for i in range(self.options.rounds):
            yield from programs[i % len(programs):] + programs[: i % len(programs)]

    def run(self):
        self.heading()
        for name, versions in self.disks.items():
            for disk in versions.values():
                make_disks.warm(disk)
            first = next(iter(versions))
            if self.wants("push", "pull"):
                self.push_and_pull(name, first, versions[first])
            for version in list(versions)[1:]:
                if self.wants("update"):
                    self.update(name, (first, versions[first]), (version, versions[version]))
                if self.wants("patch"):
                    self.patch(name, (first, versions[first]), (version, versions[version]))
        if self.wants("formats"):
            name, versions = next(iter(self.disks.items()))
            formats.compare(self, Host, name, *next(iter(versions.items())))
        if self.wants("big"):
            self.big()
        if self.wants("serve"):
            name, versions = next(iter(self.disks.items()))
            with Registry(fresh(self.work / "serve")) as registry:
                for version, disk in versions.items():
                    Host(self.work / "serve-host", registry).push(name, version, disk)
                serve.compare(self, registry)
        failures = self.report.failures
        self.report.section("Result", f"{len(failures)} bars not met" + "".join(f"\n* {bar}" for bar in failures))

    def heading(self):
        cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
        lines = [
            f"{os.cpu_count()} CPUs ({cpu}), {memory:.0f} GiB of memory; median of {self.options.rounds} rounds.",
            f"Command: `./dev bench {' '.join(sys.argv[1:])}`".rstrip() if not self.options.disks
            else f"Command: `./dev bench --disks DIR --rounds {self.options.rounds}`",
            "", __doc__.split("\n\n", 1)[1].strip(), "",
        ]
        for name, versions in self.disks.items():
            sizes = (f"{v} {make_disks.data_len(p) / MIB:.0f} MiB" for v, p in versions.items())
            length = next(iter(versions.values())).stat().st_size >> 30
            lines.append(f"Disk `{name}`: {length} GiB, data: {', '.join(sizes)}.")
        self.report.text(*lines)

    def push_and_pull(self, name, version, disk):
        push, again, pull, stat = {}, {}, {}, []
        for program in self.rounds([None, *self.peers]):
            if program is None:
                self.ours_once(name, version, disk, push, again, pull, stat)
                continue
            peer = program(self.work)
            peer.start()
            push.setdefault(peer.name, []).append(peer.push(disk, "first"))
            if peer.keeps:
                again.setdefault(peer.name, []).append(peer.again(disk, "again"))
            if self.wants("pull"):
                pull.setdefault(peer.name, []).append(peer.pull(disk, "first"))
            shutil.rmtree(peer.home)
        bar = Bars(self.report)
        if self.wants("push"):
            self.report.section(f"`{name}`: push into an empty store")
            self.report.costs(push, "stored")
            bar.ratio("push", push, "borg, zstd,1", 0.30)
            bar.ratio("push", push, "qemu-img convert -c, zstd", 0.45)
            self.report.section(f"`{name}`: push again, unchanged, reading all of it")
            self.report.costs(again, "stored")
            bar.ratio("push --full-scan again", again, "borg, zstd,1", 0.10)
            self.report.bar("push again, by the file's stat", median(stat).wall, 0.1, " s")
        if self.wants("pull"):
            self.report.section(f"`{name}`: pull into an empty place")
            self.report.costs(pull, "read from the store")
            bar.ratio("pull", pull, "borg, zstd,1", 0.30)
            bar.ratio("pull", pull, "qemu-img convert -c, zstd", 0.80)
        self.memory(push, again, pull)

    def ours_once(self, name, version, disk, push, again, pull, stat):
        with Registry(fresh(self.work / "ours")) as registry:
            host = Host(self.work / "host", registry)
            push.setdefault(OURS, []).append(host.push(name, version, disk))
            if self.wants("push"):
                stat.append(host.push(name, f"{version}-stat", disk))
                again.setdefault(OURS, []).append(host.push(name, f"{version}-scan", disk, "--full-scan"))
            if self.wants("pull"):
                pull.setdefault(OURS, []).append(Host(self.work / "puller", registry).pull(name, version, disk))
        shutil.rmtree(self.work / "puller", ignore_errors=True)

    def memory(self, *tables):
        ours = [cost for table in tables for cost in table.get(OURS, [])]
        if ours:
            self.report.bar("peak of the client", max(cost.rss for cost in ours) / MIB, 256, " MiB")
            self.report.bar("peak of the registry", max(cost.server_rss for cost in ours) / MIB, 256, " MiB")

    def update(self, name, first, second):
        """A second release is pushed where the first is, and pulled with and without a seed."""
        push, pull = {}, {}
        (v1, disk1), (v2, disk2) = first, second
        for program in self.rounds([None, *(peer for peer in self.peers if peer.keeps)]):
            if program is None:
                with Registry(fresh(self.work / "ours")) as registry:
                    host = Host(self.work / "host", registry)
                    host.push(name, v1, disk1)
                    push.setdefault(OURS, []).append(host.push(name, v2, disk2))
                    cold = Host(self.work / "puller", registry)
                    pull.setdefault(OURS, []).append(cold.pull(name, v2, disk2))
                    seeded = Host(self.work / "puller", registry)
                    seeded.pull(name, v1, disk1, "first")
                    pull.setdefault(f"{OURS}, {v1} on the host", []).append(seeded.pull(name, v2, disk2))
                shutil.rmtree(self.work / "puller")
                continue
            peer = program(self.work)
            peer.start()
            peer.push(disk1, "first")
            push.setdefault(peer.name, []).append(peer.push(disk2, "second"))
            pull.setdefault(peer.name, []).append(peer.pull(disk2, "second"))
            shutil.rmtree(peer.home)
        self.report.section(f"`{name}`: {v2} pushed where {v1} is")
        self.report.costs(push, "newly stored")
        self.report.section(f"`{name}`: {v2} pulled", "Bytes of a peer are those of its whole store.")
        self.report.costs(pull, "sent")
        self.memory(push, pull)

    def patch(self, name, first, second):
        """A pulled release moves in place to another."""
        (v1, disk1), (v2, disk2) = first, second
        there, back = [], []
        with Registry(fresh(self.work / "ours")) as registry:
            host = Host(self.work / "host", registry)
            host.push(name, v1, disk1)
            host.push(name, v2, disk2)
            puller = Host(self.work / "puller", registry)
            puller.pull(name, v1, disk1)
            for _ in range(self.options.rounds):
                there.append(puller.seawall("patch", "pulled", "--to", f"bench/{name}:{v2}"))
                puller.check("pulled", disk2)
                back.append(puller.seawall("patch", "pulled", "--to", f"bench/{name}:{v1}"))
                puller.check("pulled", disk1)
        shutil.rmtree(self.work / "puller")
        self.report.section(f"`{name}`: patch in place between {v1} and {v2}")
        self.report.costs({f"{v1} to {v2}": there, f"{v2} to {v1}": back}, "sent")
        for runs, (a, b) in ((there, (disk1, disk2)), (back, (disk2, disk1))):
            cost = median(runs)
            what = f"patch {a.stem} to {b.stem}"
            self.report.bar(f"{what}, time of 1 Gbit/s and 1 s", cost.wall, cost.moved / 125e6 + 1, " s")
            reference = fastcdc(a, b)
            if reference is not None:
                self.report.bar(f"{what}, of FastCDC's bytes at 64 KiB", cost.moved / reference, 1.05)
        self.memory({OURS: there + back})

    def big(self):
        """100 GiB with 2 GiB of data, beside the same data on a disk that it fills."""
        folder = fresh(self.work / "big")
        small_mib = self.options.big_mib
        sizes = {"dense": (small_mib + 64) * MIB, "sparse": 100 << 30}
        paths = {kind: folder / f"{kind}.raw" for kind in sizes}
        sources = [next(iter(versions.values())) for versions in self.disks.values()]
        make_disks.scatter(sources, [(paths[kind], sizes[kind]) for kind in sizes], small_mib)
        push, pull = {}, {}
        names = {"dense": f"{small_mib} MiB of data alone", "sparse": "in 100 GiB"}
        for kind in self.rounds(list(sizes)):
            with Registry(fresh(self.work / "ours")) as registry:
                push.setdefault(names[kind], []).append(
                    Host(self.work / "host", registry).push(kind, "1.0.0", paths[kind]))
                puller = Host(self.work / "puller", registry)
                pull.setdefault(names[kind], []).append(puller.seawall("pull", f"bench/{kind}:1.0.0", "--into", "out"))
            shutil.rmtree(self.work / "puller")
        shutil.rmtree(folder)
        for verb, costs in (("push", push), ("pull", pull)):
            self.report.section(f"A sparse disk: {verb}")
            self.report.costs(costs, "stored" if verb == "push" else "sent")
            dense, sparse = (median(costs[names[kind]]).wall for kind in sizes)
            self.report.text(f"In 100 GiB it takes {sparse / dense:.2f} times what the data alone takes.")
        self.memory({OURS: [cost for costs in (push, pull) for runs in costs.values() for cost in runs]})


class Bars:
    """Ratios to a peer, where that was measured."""

    def __init__(self, report):
        self.report = report

    def ratio(self, what, costs, peer, limit):
        if costs.get(peer) and costs.get(OURS):
            value = median(costs[OURS]).wall / median(costs[peer]).wall
            self.report.bar(f"{what} / {peer}", value, limit)


def fastcdc(old, new):
    """Bytes of `new` in FastCDC chunks of 16/64/256 KiB that `old` has not, zstd -1."""
    command = ["cargo", "run", "--release", "--locked", "--quiet", "-p", "seawall-store", "--example", "fastcdc", "--"]
    done = subprocess.run([*command, old, new], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return None
    return int(done.stdout.split()[0])


def today():
    return datetime.date.today().isoformat()


def commit():
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty=-changed", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--disks", metavar="DIR", help="NAME-VERSION.raw files; without it, disks are made")
    parser.add_argument("--disk", metavar="NAME[,NAME]", help="only these of them")
    parser.add_argument("--only", metavar="SECTIONS", help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--peers", metavar="PROGRAMS", help="some of " + ",".join(p.program for p in all_peers.ALL))
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs (3)")
    parser.add_argument("--big-mib", type=int, default=2048, help="data of the sparse disk (2048)")
    parser.add_argument("--work", metavar="DIR", help="where to work; needs some 20 GiB")
    parser.add_argument("--out", metavar="FILE", help="the report (docs/bench/DATE-COMMIT.md)")
    options = parser.parse_args()
    if options.work:
        Path(options.work).mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="seawall-bench.", dir=options.work))
    out = Path(options.out) if options.out else REPOSITORY / "docs/bench" / f"{today()}-{commit()}.md"
    try:
        bench = Bench(options, work)
        bench.run()
        bench.report.write(out)
        print(f"\nwritten to {out}")
    except Failed as failure:
        raise SystemExit(f"bench: {failure}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
