"""What image formats cost: to push from, to pull in, and to convert, beside `qemu-img convert`.

Converting ends when the file is durable, for both: `seawall convert` syncs what it writes, and
`qemu-img convert` is followed by a `sync` of its file.
"""

import shutil
import statistics

from measure import Registry, fresh, median, run

# Name, qemu-img's format, its options: what is pushed.
READ = (
    ("raw", "raw", ()),
    ("qcow2", "qcow2", ()),
    ("qcow2, zlib", "qcow2", ("-c",)),
    ("qcow2, zstd", "qcow2", ("-c", "-o", "compression_type=zstd")),
    ("vmdk", "vmdk", ()),
    ("vmdk, streamOptimized", "vmdk", ("-o", "subformat=streamOptimized")),
    ("vhd", "vpc", ("-o", "force_size=on")),
    ("vhdx", "vhdx", ()),
    ("vdi", "vdi", ()),
)
# What is pulled; raw is what the others are held against.
WRITTEN = ("raw", "qcow2", "vmdk", "vhd", "vhdx")
# What is converted to, from each of READ: our name, qemu-img's format and options.
PLAIN = (
    ("raw", "raw", ()),
    ("qcow2", "qcow2", ()),
    ("vmdk", "vmdk", ()),
    ("vhd", "vpc", ("-o", "force_size=on")),
    ("vhd-fixed", "vpc", ("-o", "subformat=fixed,force_size=on")),
    ("vhdx", "vhdx", ()),
)
# The same from raw alone, and once: qemu-img takes half a minute.
COMPRESSED = (
    ("qcow2-zstd", "qcow2", ("-c", "-o", "compression_type=zstd")),
    ("qcow2-zlib", "qcow2", ("-c",)),
    ("vmdk-stream", "vmdk", ("-o", "subformat=streamOptimized")),
)


def compare(bench, host_of, name, version, disk):
    """The section `formats`, on one disk; `host_of` makes a host for a registry."""
    folder = fresh(bench.work / "formats")
    # The raw one beside the others: where that is memory, no cache forgets it meanwhile.
    images = {kind: folder / f"{at}.{qemu}" for at, (kind, qemu, _) in enumerate(READ)}
    for kind, qemu, options in READ:
        run(["qemu-img", "convert", "-f", "raw", "-O", qemu, *options, disk, images[kind]], None)
    push_from(bench, host_of, name, version, images)
    pull_in(bench, host_of, name, version, disk)
    convert(bench, folder, images)
    shutil.rmtree(folder)


def push_from(bench, host_of, name, version, images):
    costs = {}
    for kind in bench.rounds(list(images)):
        with Registry(fresh(bench.work / "ours")) as registry:
            host = host_of(bench.work / "host", registry)
            costs.setdefault(kind, []).append(host.push(name, version, images[kind]))
    bench.report.section(f"`{name}`: push from each format, into an empty store")
    bench.report.costs(in_order(costs, images), "stored")
    raw = median(costs["raw"]).wall
    for kind in list(images)[1:]:
        bench.report.bar(f"push of {kind} / push of raw", median(costs[kind]).wall / raw, 1.3)


def pull_in(bench, host_of, name, version, disk):
    costs = {}
    with Registry(fresh(bench.work / "ours")) as registry:
        host_of(bench.work / "host", registry).push(name, version, disk)
        for kind in bench.rounds(list(WRITTEN)):
            host = host_of(bench.work / "puller", registry)
            cost = host.seawall("pull", f"bench/{name}:{version}", "--into", "out", "--format", kind)
            costs.setdefault(kind, []).append(cost)
            shutil.rmtree(bench.work / "puller")
    bench.report.section(f"`{name}`: pull in each format")
    bench.report.costs(in_order(costs, WRITTEN), "sent")
    raw = median(costs["raw"]).wall
    for kind in WRITTEN[1:]:
        bench.report.bar(f"pull as {kind} / pull as raw", median(costs[kind]).wall / raw, 1.15)


def convert(bench, folder, images):
    plain = [(source, *target) for source in images for target in PLAIN]
    compressed = [("raw", *target) for target in COMPRESSED]
    costs = {pair: [convert_both(folder, images, pair, False)] for pair in compressed}
    for turn, pair in enumerate(bench.rounds(plain)):
        costs.setdefault(pair, []).append(convert_both(folder, images, pair, turn % 2))
    bench.report.section("Convert, until the file is durable")
    rows, ratios = [], {}
    for pair, runs in in_order(costs, plain + compressed).items():
        ours, theirs = (median(side) for side in zip(*runs))
        # Of each round by itself: what slows the machine for a while slows both.
        ratios[pair] = statistics.median(one.wall / other.wall for one, other in runs)
        walls_and_cpus = (f"{figure:.2f}" for cost in (ours, theirs) for figure in (cost.wall, cost.cpu))
        rows.append((f"{pair[0]} to {pair[1]}", *walls_and_cpus))
    bench.report.table(("", "seawall, wall s", "CPU s", "qemu-img, wall s", "CPU s"), rows)
    for pair, ratio in ratios.items():
        bench.report.bar(f"convert {pair[0]} to {pair[1]} / qemu-img", ratio, 1.0)


def convert_both(folder, images, pair, theirs_first):
    """What it costs seawall, and what qemu-img."""
    source, kind, qemu, options = pair
    ours, theirs = folder / "ours", folder / "theirs"
    seawall = ["seawall", "--quiet", "convert", "--format", kind, images[source], ours]
    from_format = dict((name, qemu) for name, qemu, _ in READ)[source]
    qemu_img = ["qemu-img", "convert", "-f", from_format, "-O", qemu, *options, images[source], theirs]
    synced = ["sh", "-c", '"$@" && sync "$0"', theirs, *qemu_img]
    commands = [seawall, synced]
    order = (1, 0) if theirs_first else (0, 1)
    costs = {which: run(commands[which], None) for which in order}
    for path in (ours, theirs):
        path.unlink()
    return costs[0], costs[1]


def in_order(costs, names):
    return {name: costs[name] for name in names}
