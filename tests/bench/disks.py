"""The disks to measure on: taken from a folder, or made here with mke2fs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

MIB = 1 << 20
PARTITION_OFFSET = MIB
DISK_LEN = 4 << 30


def take(folder):
    """`NAME-VERSION.raw` files of a folder, as {name: {version: path}}, versions in order."""
    disks = {}
    for path in sorted(Path(folder).glob("*-*.raw")):
        name, version = re.fullmatch(r"(.+?)-(\d.*)\.raw", path.name).groups()
        disks.setdefault(name, {})[version] = path.resolve()
    if not disks:
        raise SystemExit(f"{folder} holds no NAME-VERSION.raw, such as web-1.0.0.raw")
    return disks


def make(folder, data_mib=512):
    """One machine's disk in three releases, of this machine's own files: first, edited in place, rebuilt."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {version: folder / f"made-{version}.raw" for version in ("1.0.0", "1.0.1", "1.1.0")}
    if not all(path.exists() for path in paths.values()):
        root = folder / "root"
        fill(root, data_mib)
        file_system(root, paths["1.0.0"])
        changed = edit(root)
        subprocess.run(["cp", "--sparse=always", paths["1.0.0"], paths["1.0.1"]], check=True)
        commands = folder / "debugfs"
        commands.write_text("".join(f"rm {file}\nwrite {root / file} {file}\n" for file in changed))
        target = f"{paths['1.0.1']}?offset={PARTITION_OFFSET}"
        subprocess.run(["debugfs", "-w", "-f", commands, target], check=True, capture_output=True)
        file_system(root, paths["1.1.0"])
        shutil.rmtree(root)
    return {"made": paths}


def fill(root, data_mib):
    """Copies readable files of /usr, in order of their names, up to a total."""
    shutil.rmtree(root, ignore_errors=True)
    left = data_mib * MIB
    for folder in ("/usr/bin", "/usr/lib", "/usr/share"):
        for at, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                path = Path(at) / name
                if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                    continue
                size = path.stat().st_size
                if not 0 < size <= min(left, 64 * MIB) or " " in str(path):
                    continue
                to = root / str(path).lstrip("/")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)
                left -= size
    if left > data_mib * MIB // 2:
        raise SystemExit("/usr has too little to make disks of: give --disks DIR")


def edit(root):
    """Inserts a line near the start of every twentieth file; gives their paths below `root`."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size < MIB)[::20]
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content[:100] + b"edited for the next release\n" + content[100:])
    return [path.relative_to(root) for path in files]


def file_system(root, path):
    """A GPT disk with one ext4 file system."""
    with open(path, "wb") as file:
        file.truncate(DISK_LEN)
    table = b"label: gpt\nstart=2048, type=L\n"
    subprocess.run(["sfdisk", "--quiet", path], input=table, check=True)
    size = f"{(DISK_LEN - 2 * MIB) // 1024}k"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, "-E", f"offset={PARTITION_OFFSET}", path, size]
    subprocess.run(command, check=True)


def data_runs(path):
    """Offsets of a sparse file's data, as (start, end)."""
    with open(path, "rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            yield start, end


def data_len(path):
    return sum(end - start for start, end in data_runs(path))


def warm(path):
    """Reads a disk's data, so that it is in the page cache."""
    with open(path, "rb", buffering=0) as file:
        for start, end in data_runs(path):
            file.seek(start)
            while start < end:
                start += max(len(file.read(min(4 * MIB, end - start))), 1)


def same(one, other):
    """Whether two sparse files hold the same bytes; what is a hole in both is not read."""
    if os.path.getsize(one) != os.path.getsize(other):
        return False
    with open(one, "rb", buffering=0) as a, open(other, "rb", buffering=0) as b:
        for runs in (data_runs(one), data_runs(other)):
            for start, end in runs:
                a.seek(start)
                b.seek(start)
                while start < end:
                    piece = min(4 * MIB, end - start)
                    if a.read(piece) != b.read(piece):
                        return False
                    start += piece
    return True


def scatter(sources, paths_and_lens, data_mib):
    """Writes the same `data_mib` of real data into sparse disks, spread over each one's length.

    Data runs out before 2 GiB do: each further pass over it inverts other bits of every byte, which
    gives new content that compresses as well.
    """
    disks = [(open(path, "wb"), length) for path, length in paths_and_lens]
    for file, length in disks:
        file.truncate(length)
    piece, written, total, turn = 4 * MIB, 0, data_mib * MIB, 0
    while written < total:
        table = bytes(byte ^ turn for byte in range(256))
        for source in sources:
            with open(source, "rb", buffering=0) as file:
                for start, end in data_runs(source):
                    while start < end and written < total:
                        file.seek(start)
                        content = file.read(min(piece, end - start, total - written)).translate(table)
                        start += len(content)
                        for disk, length in disks:
                            disk.seek(int(written / total * (length - piece)) // 4096 * 4096)
                            disk.write(content)
                        written += len(content)
        turn += 1
    for disk, _ in disks:
        disk.close()
