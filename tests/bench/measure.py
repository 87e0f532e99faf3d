"""Runs a program, or a registry, and says what it cost."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program that was measured did not do its work."""


@dataclass
class Cost:
    """What one run took."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, children and registry included
    rss: int  # bytes, peak, of the largest process
    server_rss: int = 0  # bytes, peak, of the registry
    moved: int = 0  # bytes stored or transferred; what it is, the table says


def median(costs):
    """The run in the middle by wall time, with the highest peaks of all."""
    middle = sorted(costs, key=lambda cost: cost.wall)[(len(costs) - 1) // 2]
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.rss for cost in costs),
        max(cost.server_rss for cost in costs),
        middle.moved,
    )


def clean_environment(home, **more):
    """An environment without the caller's caches, configuration and proxies."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    xdg = {f"XDG_{kind}_HOME": f"{home}/{kind}" for kind in ("CONFIG", "CACHE", "STATE", "DATA")}
    return keep | {"HOME": str(home), "TMPDIR": str(home), **xdg} | {k: str(v) for k, v in more.items()}


def run(command, env, server=None, log=None):
    """Runs `command` to its end and measures it; `server` is a registry that works for it."""
    os.sync()  # what an earlier run wrote must not be paid for by this one
    before = server.cpu() if server else 0
    if server:
        server.reset_peak()
    out = open(log, "ab") if log else subprocess.DEVNULL
    start = time.monotonic()
    child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if log:
        out.close()
    if child.returncode != 0:
        tail = Path(log).read_text(errors="replace")[-2000:] if log else ""
        raise Failed(f"{' '.join(map(str, command))}: exit status {child.returncode}\n{tail}")
    cost = Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    if server:
        cost.cpu += server.cpu() - before
        cost.server_rss = server.peak()
    return cost


class Registry:
    """A `seawall serve` of its own with an empty data directory, and the arguments in `more`."""

    def __init__(self, home, program="seawall", more=(), **variables):
        self.data = Path(home) / "registry"
        self.log = Path(home) / "registry.log"
        command = [program, "serve", str(self.data), "--listen", "127.0.0.1:0", *map(str, more)]
        env = clean_environment(home, **variables)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://\S+", line)
        if not found:
            raise Failed(f"the registry did not start: {self.log.read_text(errors='replace')[-2000:]}")
        self.url = found.group()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _proc(self, name):
        return Path(f"/proc/{self.process.pid}/{name}")

    def cpu(self):
        fields = self._proc("stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def reset_peak(self):
        try:
            self._proc("clear_refs").write_text("5")
        except OSError:
            pass  # then the peak is that since its start

    def peak(self):
        return int(re.search(r"VmHWM:\s+(\d+) kB", self._proc("status").read_text()).group(1)) * 1024

    def counter(self, name):
        """A counter of its `/metrics`."""
        text = get(self.url + "/metrics").decode()
        found = re.search(rf"^seawall_{name}_total(?:{{[^}}]*}})? (\d+)", text, re.M)
        return int(found.group(1)) if found else 0

    def stored(self):
        return stored(self.data)


def get(url):
    """The body of a local page; proxies are for others."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return answer.read()


def stored(folder):
    """Bytes of the files below a folder, or of a file."""
    path = Path(folder)
    if path.is_file():
        return path.stat().st_blocks * 512
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file())


def fresh(folder):
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return Path(folder)


def mib(count):
    return f"{count / MIB:.0f}" if count >= 10 * MIB else f"{count / MIB:.1f}"


class Report:
    """A markdown page that grows as sections end."""

    def __init__(self, heading):
        self.lines = [f"# {heading}", ""]
        self.failures = []

    def text(self, *lines):
        for line in lines:
            print(line, flush=True)
        self.lines += [*lines, ""]

    def section(self, title, *lines):
        print()
        self.text(f"## {title}")
        if lines:
            self.text(*lines)

    def table(self, headings, rows):
        self.text(
            "| " + " | ".join(headings) + " |",
            "|---" * len(headings) + "|",
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
        )

    def costs(self, costs, moved):
        """One row for each program: `costs` maps its name to its runs; `moved` heads the bytes."""
        rows = []
        for name, runs in costs.items():
            if not runs:
                continue
            cost = median(runs)
            server = mib(cost.server_rss) if cost.server_rss else ""
            rows.append((name, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", mib(cost.rss), server, mib(cost.moved)))
        self.table(("", "wall s", "CPU s", "peak MiB", "registry peak MiB", f"{moved} MiB"), rows)

    def bar(self, what, value, limit, unit="", at_least=False):
        """One promise of the project's issue: met or not."""
        met = value >= limit if at_least else value <= limit
        sign = "≥" if at_least else "≤"
        if not met:
            self.failures.append(what)
        self.text(f"* {'met' if met else '**not met**'}: {what}: {value:.2f}{unit} (bar {sign} {limit:.2f}{unit})")

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.lines).rstrip() + "\n")
