"""What image formats cost: to push from, to pull in, and to convert, beside `qemu-img convert`.

Converting ends when the file is durable, for both: `seawall convert` syncs what it writes, and
`qemu-img convert` is followed by a `sync` of its file.
"""

import shutil

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
# From, ours, qemu-img's format and options: what is converted.
CONVERTED = (
    ("raw", "raw", "raw", ()),
    ("raw", "qcow2", "qcow2", ()),
    ("raw", "qcow2-zstd", "qcow2", ("-c", "-o", "compression_type=zstd")),
    ("raw", "qcow2-zlib", "qcow2", ("-c",)),
    ("raw", "vmdk", "vmdk", ()),
    ("raw", "vmdk-stream", "vmdk", ("-o", "subformat=streamOptimized")),
    ("raw", "vhd", "vpc", ("-o", "force_size=on")),
    ("raw", "vhd-fixed", "vpc", ("-o", "subformat=fixed,force_size=on")),
    ("raw", "vhdx", "vhdx", ()),
    ("qcow2", "raw", "raw", ()),
    ("qcow2, zstd", "raw", "raw", ()),
    ("qcow2, zstd", "qcow2", "qcow2", ()),
    ("vmdk", "qcow2", "qcow2", ()),
    ("vhdx", "qcow2", "qcow2", ()),
    ("vmdk, streamOptimized", "qcow2", "qcow2", ()),
)


def compare(bench, host_of, name, version, disk):
    """The section `formats`, on one disk; `host_of` makes a host for a registry."""
    folder = fresh(bench.work / "formats")
    images = {"raw": disk}
    for kind, qemu, options in READ[1:]:
        images[kind] = folder / f"{len(images)}.{qemu}"
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
    costs = {}
    ours, theirs = folder / "ours", folder / "theirs"
    for pair in bench.rounds(list(CONVERTED)):
        source, kind, qemu, options = pair
        seawall = ["seawall", "--quiet", "convert", "--format", kind, images[source], ours]
        qemu_img = ["qemu-img", "convert", "-O", qemu, *options, images[source], theirs]
        if source == "raw":
            qemu_img[2:2] = ["-f", "raw"]
        synced = ["sh", "-c", '"$@" && sync "$0"', theirs, *qemu_img]
        cost = costs.setdefault(pair, ([], []))
        cost[0].append(run(seawall, None))
        cost[1].append(run(synced, None))
        for path in (ours, theirs):
            path.unlink()
    bench.report.section("Convert, until the file is durable")
    rows = []
    for pair in CONVERTED:
        one, other = (median(runs) for runs in costs[pair])
        rows.append((f"{pair[0]} to {pair[1]}", f"{one.wall:.2f}", f"{one.cpu:.2f}", f"{other.wall:.2f}", f"{other.cpu:.2f}"))
    bench.report.table(("", "seawall, wall s", "CPU s", "qemu-img, wall s", "CPU s"), rows)
    for pair in CONVERTED:
        one, other = (median(runs).wall for runs in costs[pair])
        bench.report.bar(f"convert {pair[0]} to {pair[1]} / qemu-img", one / other, 1.0)


def in_order(costs, names):
    return {name: costs[name] for name in names}
