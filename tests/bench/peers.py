"""The programs that Seawall is measured beside, each with the same three verbs.

`push` stores a disk under a name, `again` stores it once more reading all of it, `pull` gets it back.
A peer's store is a folder of its own that `start` makes empty.
"""

import shutil
import subprocess

from measure import clean_environment, fresh, run, stored


class Peer:
    name = program = ""
    keeps = True  # a store that several disks share

    def __init__(self, work):
        self.home = fresh(work / self.name.split()[0])
        self.store = self.home / "store"
        self.log = self.home / "log"
        self.env = clean_environment(self.home)

    @classmethod
    def installed(cls):
        return shutil.which(cls.program) is not None

    def start(self):
        fresh(self.home)

    def measured(self, command):
        return run(command, self.env, log=self.log)

    def timed_store(self, command):
        before = stored(self.store) if self.store.exists() else 0
        cost = self.measured(command)
        cost.moved = stored(self.store) - before
        return cost

    def timed_fetch(self, command, into):
        cost = self.measured(command)
        cost.moved = stored(self.store)
        into.unlink(missing_ok=True)
        return cost

    def quietly(self, command):
        subprocess.run(command, env=self.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Borg(Peer):
    name, program = "borg, zstd,1", "borg"

    def start(self):
        super().start()
        self.env |= {"BORG_BASE_DIR": str(self.home), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        self.env |= {"BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        self.quietly(["borg", "init", "-e", "none", str(self.store)])

    def push(self, disk, name):
        # Without the files cache every push reads the whole disk, as for a disk that was rewritten.
        command = ["borg", "create", "-C", "zstd,1", "--files-cache=disabled", f"{self.store}::{name}", disk.name]
        return self.timed_store(["env", "-C", str(disk.parent), *command])

    again = push

    def pull(self, disk, name):
        into = self.home / disk.name
        command = ["env", "-C", str(self.home), "borg", "extract", "--sparse", f"{self.store}::{name}"]
        return self.timed_fetch(command, into)


class Restic(Peer):
    name, program = "restic (encrypts)", "restic"

    def start(self):
        super().start()
        self.env |= {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.store)}
        self.quietly(["restic", "init"])

    def push(self, disk, name):
        return self.timed_store(["restic", "backup", "--force", "--tag", name, str(disk)])

    again = push

    def pull(self, disk, name):
        out = self.home / "out"
        command = ["restic", "restore", "latest", "--tag", name, "--target", str(out)]
        cost = self.timed_fetch(command, self.home / "none")
        shutil.rmtree(out)
        return cost


class Casync(Peer):
    name, program = "casync, 64 KiB", "casync"

    def push(self, disk, name):
        index = self.home / f"{name}.caibx"
        return self.timed_store(["casync", "make", f"--store={self.store}", "--compression=zstd", str(index), str(disk)])

    again = push

    def pull(self, disk, name):
        into = self.home / "out.raw"
        index = self.home / f"{name}.caibx"
        return self.timed_fetch(["casync", "extract", f"--store={self.store}", str(index), str(into)], into)


class FilePeer(Peer):
    """A peer that knows no store: each disk is one file."""

    keeps = False

    def push(self, disk, name):
        self.store.mkdir(exist_ok=True)
        return self.timed_store(self.to_file(disk, self.store / name))

    def pull(self, disk, name):
        into = self.home / "out.raw"
        return self.timed_fetch(self.from_file(self.store / name, into), into)


class Qcow2(FilePeer):
    name, program = "qemu-img convert -c, zstd", "qemu-img"

    def to_file(self, disk, file):
        return ["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", str(disk), str(file)]

    def from_file(self, file, into):
        return ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(file), str(into)]


class Zstd(FilePeer):
    name, program = "zstd -1 -T2", "zstd"

    def to_file(self, disk, file):
        return ["zstd", "-q", "-1", "-T2", "-o", str(file), str(disk)]

    def from_file(self, file, into):
        return ["zstd", "-q", "-d", "--sparse", "-o", str(into), str(file)]


class Copy(FilePeer):
    name, program = "cp --sparse=always", "cp"

    def push(self, disk, name):
        cost = super().push(disk, name)
        cost.moved = stored(self.store / name)  # its length says nothing: it is sparse
        return cost

    def to_file(self, disk, file):
        return ["cp", "--sparse=always", str(disk), str(file)]

    def from_file(self, file, into):
        return ["cp", "--sparse=always", str(file), str(into)]

    def pull(self, disk, name):
        cost = super().pull(disk, name)
        cost.moved = stored(self.store / name)
        return cost


ALL = (Borg, Qcow2, Restic, Casync, Zstd, Copy)
