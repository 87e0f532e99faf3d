#!/usr/bin/env python3
"""`./dev soak MINUTES`: one registry under pushes, pulls, patches, promotions, deletions and
collections at once, checked and backed up meanwhile, while it and its clients are killed with
SIGKILL at random moments.

Every pull and patch is compared, byte for byte by BLAKE3, with the disk that was pushed. What a
killed command did is not known until the registry is asked; everything else must be as it was
answered. It ends with a quiet registry: a full collection, `seawall fsck`, and a comparison of every
release that is left. Then the newest backup is restored beside a copy of the store as
docs/operations/repair.md has it, and must hold the same. The last line says `clean`, or what was
wrong.

With `--registries N` there are N registries over one PostgreSQL and one Ceph gateway, and each
command asks one of them by chance. The gateway and the database are killed, too, and registries are
suspended for longer than their leases live. The restored copy is left out there.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MIB = 1 << 20
DISK_LEN = 96 * MIB
# With more releases than this, builders wait for the operator to delete some.
RELEASES_MAX = 24
LEASE_TTL_SECS = 20
APPLICATION = "soak/shop"
# What a command may end with when the registry dies or another command wins.
UNLUCKY = {3, 4, 6, -signal.SIGKILL}


class Disks:
    """Disks that share most of their bytes, each a function of its number."""

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.digests = {}
        self.base = random.Random(f"{seed} base").randbytes(12 * MIB)

    def path(self, number):
        return self.folder / f"disk-{number}.raw"

    def make(self, number):
        """Writes the disk; returns the digest of its bytes."""
        dice = random.Random(f"{self.seed} {number}")
        path = self.path(number)
        with open(path, "wb") as file:
            file.truncate(DISK_LEN)
            file.write(self.base)
            for _ in range(dice.randint(1, 6)):
                # Pieces come from a small set, so that releases share them in part.
                piece = random.Random(f"{self.seed} piece {dice.randint(0, 40)}").randbytes(MIB)
                file.seek(dice.randrange(0, DISK_LEN - MIB, 4096))
                file.write(piece)
        digest = b3sum(path)
        self.digests[number] = digest
        return digest


def b3sum(path):
    return subprocess.run(["b3sum", "--no-names", path], check=True, capture_output=True,
                          text=True).stdout.strip()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Engines:
    """PostgreSQL and a Ceph gateway: tests/examples/engines.rs."""

    def __init__(self):
        self.process = subprocess.Popen(["engines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.variables = json.loads(self.process.stdout.readline())
        self.killed = {"postgres": 0, "gateway": 0}

    def kill(self, engine):
        """Kills it, and returns when its successor answers."""
        self.process.stdin.write(f"{engine}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != engine:
            raise RuntimeError(f"the {engine} did not come back")
        self.killed[engine] += 1

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Soak:
    def __init__(self, work, seed, registries):
        self.work, self.dice = work, random.Random(seed)
        self.disks = Disks(work, seed)
        self.ports = [free_port() for _ in range(registries)]
        self.engines = Engines() if registries > 1 else None
        self.lock = threading.Lock()
        # Version to what is known of it: "visible", "gone", or "maybe".
        self.known = {}
        # Versions whose push has not ended.
        self.pushing = set()
        self.next = 0
        self.counts = {}
        # Copies of the catalog that were answered with success, oldest first.
        self.backups = []
        self.wrong = []
        self.stop = threading.Event()
        self.registries = [None] * registries
        self.registry_log = open(work / "registry.log", "ab")

    # The registries, and what they stand on.

    def start(self, index):
        data = self.work / ("data" if self.engines is None else f"scratch-{index}")
        command = ["seawall", "serve", data, "--listen", f"127.0.0.1:{self.ports[index]}",
                   "--lease-ttl", str(LEASE_TTL_SECS)]
        variables = self.engines.variables if self.engines else {}
        self.registries[index] = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=self.registry_log,
            env=self.env(f"registry-{index}") | variables)

    def kill_registry(self):
        index = self.dice.randrange(len(self.registries))
        self.registries[index].kill()
        if self.registries[index].wait() != -signal.SIGKILL:
            self.complain(f"registry {index} had ended with {self.registries[index].returncode}")
        self.start(index)
        self.count("registry killed")

    def suspend_registry(self):
        """Stops a registry for longer than its leases live; it goes on as if nothing had been."""
        registry = self.dice.choice(self.registries)
        registry.send_signal(signal.SIGSTOP)
        self.stop.wait(LEASE_TTL_SECS * self.dice.uniform(0.2, 1.5))
        registry.send_signal(signal.SIGCONT)
        self.count("registry suspended")

    def harm(self):
        if self.engines is None:
            return self.kill_registry()
        harms = [self.kill_registry] * 5 + [self.suspend_registry] * 2
        for engine in ["postgres", "gateway"]:
            harms.append(lambda engine=engine: self.engines.kill(engine))
        self.dice.choice(harms)()

    def stored(self):
        """MiB in the store of one registry; a bucket is not asked."""
        files = (self.work / "data" / "store").rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file()) // MIB

    # Commands.

    def env(self, host):
        home = self.work / "hosts" / host
        home.mkdir(parents=True, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "RUST_BACKTRACE": "1",
               "SEAWALL_REGISTRY": f"http://127.0.0.1:{self.dice.choice(self.ports)}"}
        return env

    def seawall(self, host, *arguments, may_die=True, may_fail=()):
        """Runs a command, and now and then kills it; returns its status and output."""
        command = ["seawall", "--quiet", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.env(host), text=True)
        patience = self.dice.uniform(0.005, 0.8) if may_die and self.dice.random() < 0.15 else None
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        what = arguments[0]
        self.count(f"{what}: {'done' if process.returncode == 0 else process.returncode}")
        if "panicked" in err or process.returncode not in UNLUCKY | {0, *may_fail}:
            self.complain(f"`{' '.join(command)}` ended with {process.returncode}: {err.strip()}")
        return process.returncode, out

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def complain(self, what):
        with self.lock:
            self.wrong.append(what)
        print(f"WRONG: {what}", flush=True)

    def pick(self, *states):
        with self.lock:
            known = [version for version, state in self.known.items() if state in states]
        return self.dice.choice(known) if known else None

    def learn(self, version, state):
        with self.lock:
            self.known[version] = state

    # What actors do.

    def push(self, host):
        with self.lock:
            if sum(state != "gone" for state in self.known.values()) > RELEASES_MAX:
                return
            number, self.next = self.next, self.next + 1
            self.pushing.add(number)
        self.disks.make(number)
        self.learn(number, "maybe")
        for _ in range(3):
            status, _ = self.seawall(host, "push", f"{APPLICATION}:1.{number}", "--machine",
                                     f"web=root:{self.disks.path(number)}")
            if status == 0:
                self.learn(number, "visible")
                break
        self.disks.path(number).unlink()
        with self.lock:
            self.pushing.discard(number)

    def pull(self, host):
        version = self.pick("visible", "maybe")
        if version is None:
            return
        into = self.work / "hosts" / host / "pulled"
        shutil.rmtree(into, ignore_errors=True)
        certain = self.known[version] == "visible"
        status, _ = self.seawall(host, "pull", f"{APPLICATION}:1.{version}", "--into", into)
        if status == 0:
            self.compare(into, version)
        elif status == 3 and certain and self.known[version] == "visible":
            self.complain(f"release 1.{version} is gone, and nobody deleted it")

    def patch(self, host):
        into = self.work / "hosts" / host / "pulled"
        version = self.pick("visible")
        if version is None:
            return
        if not into.exists():
            self.pull(host)
            return
        status, _ = self.seawall(host, "patch", into, "--to", f"{APPLICATION}:1.{version}")
        if status == 0:
            self.compare(into, version)

    def compare(self, into, version):
        found = b3sum(into / "web" / "root.raw")
        if found != self.disks.digests[version]:
            self.complain(f"{into} has {found} for release 1.{version}, "
                          f"not {self.disks.digests[version]}")
        self.count("disks compared")

    def promote(self, host):
        version = self.pick("visible")
        if version is not None:
            self.seawall(host, "promote", f"{APPLICATION}:1.{version}", "stable")

    def delete(self, host):
        with self.lock:
            ended = set(self.known) - self.pushing
            left = sorted(v for v in ended if self.known[v] != "gone")
        if len(left) < RELEASES_MAX // 2:
            return
        version = self.dice.choice(left[:len(left) // 2 + 1])
        self.learn(version, "maybe")
        status, _ = self.seawall(host, "rm", f"{APPLICATION}:1.{version}")
        # Not found: it was deleted by a try that was killed, or its push never came through.
        if status in (0, 3):
            self.learn(version, "gone")
        elif status == 4:
            self.learn(version, "visible")

    def collect(self, host):
        percent = self.dice.choice([0, 60, 60, 100])
        self.seawall(host, "gc", "--live-percent", percent, "--no-wait", "--force")
        time.sleep(self.dice.uniform(0, 2))

    def check(self, host):
        # Whatever else goes on, and whoever is killed: there is no damage (status 5) to be found.
        self.seawall(host, "fsck", "--rate", self.dice.choice([8, 64, 1024]))

    def back_up(self, host):
        path = self.work / "backups" / f"{len(self.backups):03}-{self.dice.getrandbits(32):08x}.sqlite"
        path.parent.mkdir(exist_ok=True)
        status, _ = self.seawall(host, "backup", path)
        if status == 0:
            self.backups.append(path)

    def act(self, host, deeds):
        while not self.stop.is_set():
            with self.lock:
                deed = self.dice.choice(deeds)
            try:
                deed(host)
            except Exception as error:  # an actor that dies would hide what follows
                self.complain(f"{host}: {error!r}")
            time.sleep(0.05)

    def run(self, minutes):
        for index in range(len(self.registries)):
            self.start(index)
        actors = [("builder-1", [self.push]), ("builder-2", [self.push, self.promote]),
                  ("host-1", [self.pull]), ("host-2", [self.patch]),
                  ("operator", [self.delete, self.delete, self.collect, self.promote]),
                  ("keeper", [self.check, self.back_up])]
        threads = [threading.Thread(target=self.act, args=actor) for actor in actors]
        for thread in threads:
            thread.start()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            time.sleep(self.dice.uniform(2, 15))
            self.harm()
            visible = sum(state == "visible" for state in self.known.values())
            left = (end - time.monotonic()) / 60
            print(f"{left:5.1f} min left, {self.next} pushed, {visible} visible, "
                  f"{self.stored()} MiB stored", flush=True)
        self.stop.set()
        for thread in threads:
            thread.join()

    def finish(self):
        """A quiet registry: everything is as it was answered."""
        time.sleep(LEASE_TTL_SECS + 2)
        host = "auditor"
        self.must(host, "gc", "--force", "--live-percent", "100")
        self.must(host, "gc", "--force", "--live-percent", "100")
        self.must(host, "fsck")
        listed = json.loads(self.must(host, "list", APPLICATION, "--json"))
        visible = {release["version"] for release in listed["releases"]}
        for version, state in self.known.items():
            is_visible = f"1.{version}" in visible
            if (state, is_visible) in {("visible", False), ("gone", True)}:
                self.complain(f"release 1.{version} is {state}, but visible: {is_visible}")
            if is_visible:
                into = self.work / "hosts" / host / f"last-{version}"
                self.must(host, "pull", f"{APPLICATION}:1.{version}", "--into", into)
                self.compare(into, version)
                shutil.rmtree(into)
        print(f"{len(visible)} releases left, {self.stored()} MiB stored")
        for registry in self.registries:
            registry.terminate()
            if registry.wait(30) != 0:
                self.complain("a registry did not stop in peace")
        if self.engines is None:
            self.restore(host, listed["releases"])

    def restore(self, host, releases):
        """The newest backup's catalog beside a copy of the store: docs/operations/repair.md."""
        if not self.backups:
            self.complain("no backup came through")
            return
        data = self.work / "restored"
        data.mkdir()
        shutil.copytree(self.work / "data" / "store", data / "store")
        shutil.copyfile(self.backups[-1], data / "catalog.sqlite")
        here = ("--registry", data)
        # 5: the store was written to since, and the copy does not know of it.
        status, _ = self.seawall(host, "fsck", *here, may_die=False, may_fail={5})
        self.count(f"restored: {'as it was' if status == 0 else 'recovered, the store is newer'}")
        if status != 0:
            self.must(host, "recover", data)
            self.must(host, "fsck", *here)
        listed = json.loads(self.must(host, "list", APPLICATION, "--json", *here))
        names = lambda all: sorted((one["version"], one["digest"]) for one in all)
        if names(listed["releases"]) != names(releases):
            self.complain(f"restored: {names(listed['releases'])}, not {names(releases)}")
        self.must(host, "drill", data, "--releases", len(releases))

    def must(self, *arguments):
        status, out = self.seawall(*arguments, may_die=False)
        if status != 0:
            self.complain(f"{arguments} ended with {status}")
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--registries", type=int, default=1)
    parser.add_argument("--work", help="where to work [default: a temporary directory]")
    arguments = parser.parse_args()
    if arguments.work:
        Path(arguments.work).mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="seawall-soak-", dir=arguments.work))
    print(f"seed {arguments.seed}, in {work}")
    soak = Soak(work, arguments.seed, arguments.registries)
    try:
        soak.run(arguments.minutes)
        soak.finish()
    finally:
        for registry in soak.registries:
            if registry is not None:
                registry.kill()
        if soak.engines is not None:
            soak.engines.end()
    if soak.engines is not None:
        soak.counts |= {f"{engine} killed": times for engine, times in soak.engines.killed.items()}
    for what, count in sorted(soak.counts.items()):
        print(f"{count:6}  {what}")
    if soak.wrong:
        print(f"{len(soak.wrong)} things are wrong; the first: {soak.wrong[0]}")
        return 1
    shutil.rmtree(work)
    print("clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
