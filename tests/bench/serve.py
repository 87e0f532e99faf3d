"""16 clients that fetch packs at once, from the registry and from nginx serving the same files."""

import os
import re
import shutil
import socket
import statistics
import subprocess
import time

from measure import MIB, Failed, fresh, get

CONNECTIONS = 16
SECONDS = 6
PIECE = 4 * MIB  # about what a pull asks for at once

NGINX = """
{user}daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes auto;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
  uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""

WRK = """
local requests = {{ {requests} }}
local i = 0
init = function(args) math.randomseed(os.time()) i = math.random(#requests) end
request = function()
  i = i % #requests + 1
  local r = requests[i]
  return wrk.format("GET", r[1], {{ ["Range"] = r[2] }})
end
done = function(summary)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def compare(bench, registry):
    report = bench.report
    report.section(f"Packs for {CONNECTIONS} clients at once")
    if not (shutil.which("nginx") and shutil.which("wrk")):
        report.text("nginx and wrk are not both installed: not measured.")
        return
    home = fresh(bench.work / "nginx")
    packs = sorted((registry.data / "store" / "packs").glob("??/*"))
    port = free_port()
    user = "user root; " if os.geteuid() == 0 else ""  # the folders are nobody else's to read
    conf = NGINX.format(user=user, home=home, port=port, root=registry.data / "store")
    (home / "nginx.conf").write_text(conf)
    nginx = subprocess.Popen(["nginx", "-p", home, "-c", home / "nginx.conf"], stderr=subprocess.DEVNULL)
    rates = {"registry": [], "nginx": []}
    try:
        scripts = {
            "registry": script(home / "registry.lua", packs, lambda pack: f"/v1/packs/blake3:{pack.name}"),
            "nginx": script(home / "nginx.lua", packs, lambda pack: f"/packs/{pack.parent.name}/{pack.name}"),
        }
        urls = {"registry": registry.url, "nginx": f"http://127.0.0.1:{port}"}
        check(registry, urls["nginx"], packs[0])
        for program in bench.rounds(["registry", "nginx"]):
            rates[program].append(rate(urls[program], scripts[program]))
    finally:
        nginx.terminate()
        nginx.wait()
    rows = [(name, f"{statistics.median(found):.0f}", f"{min(found):.0f} to {max(found):.0f}")
            for name, found in rates.items()]
    report.text(f"wrk, {SECONDS} s, ranges of {PIECE // MIB} MiB of {len(packs)} packs, over loopback.")
    report.table(("", "MB/s", "all rounds"), rows)
    share = statistics.median(rates["registry"]) / statistics.median(rates["nginx"])
    report.bar(f"{CONNECTIONS} clients, registry / nginx", share, 0.8, at_least=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url):
    for _ in range(100):
        try:
            return get(url)
        except OSError:
            time.sleep(0.05)
    raise Failed(f"nginx does not serve {url}")


def check(registry, nginx_url, pack):
    """Both serve the same bytes."""
    ours = get(f"{registry.url}/v1/packs/blake3:{pack.name}")
    theirs = wait_for(f"{nginx_url}/packs/{pack.parent.name}/{pack.name}")
    if not ours == theirs == pack.read_bytes():
        raise Failed(f"pack {pack.name} is served with other bytes")


def script(path, packs, url):
    requests = []
    for pack in packs:
        size = pack.stat().st_size
        for start in range(0, size, PIECE):
            end = min(start + PIECE, size) - 1
            requests.append(f'{{"{url(pack)}", "bytes={start}-{end}"}}')
    path.write_text(WRK.format(requests=",\n".join(requests)))
    return path


def rate(url, script_path):
    """MB/s of bodies and headers, over all connections."""
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script_path, url]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+)", done.stdout)
    if not found or int(found.group(3)):
        raise Failed(f"wrk against {url}: {done.stdout}{done.stderr}")
    return int(found.group(1)) / int(found.group(2))  # bytes per microsecond are MB/s
