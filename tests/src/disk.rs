//! Realistic disks: file systems, partitions, images.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::bytes::Noise;
use crate::tool::tool;

/// Makes a sparse raw disk with bytes at some offsets.
pub fn raw(path: &Path, len: u64, pieces: &[(u64, Vec<u8>)]) {
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    for (offset, bytes) in pieces {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

/// Files of a file system.
#[derive(Clone, Debug)]
pub struct Tree {
    files: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// Creates the files of a small system, about 20 MiB: many small files, some large, some
    /// repeated.
    #[must_use]
    pub fn system(seed: &str) -> Self {
        let mut noise = Noise::new(seed);
        let mut files = BTreeMap::new();
        for i in 0..300 {
            let len = 100 + noise.below(1 << (10 + i % 8));
            files.insert(format!("usr/share/d{}/f{i}", i % 20), noise.text(len));
        }
        for i in 0..12 {
            let len = (512 << 10) + noise.below(1 << 20);
            files.insert(format!("usr/lib/lib{i}.so"), noise.bytes(len));
        }
        let twin = files["usr/lib/lib0.so"].clone();
        files.insert("usr/lib/lib0-copy.so".to_owned(), twin);
        Self { files }
    }

    /// Upgrades the files: one in ten changes, some are removed, some are added.
    #[must_use]
    pub fn upgraded(&self, seed: &str) -> Self {
        let mut noise = Noise::new(seed);
        let mut files = self.files.clone();
        let names: Vec<_> = files.keys().cloned().collect();
        for name in names {
            match noise.below(30) {
                0..3 => {
                    let len = files[&name].len() as u64;
                    files.insert(name, noise.text(len + 37));
                }
                3 => drop(files.remove(&name)),
                4 => drop(files.insert(format!("{name}.new"), noise.text(3000))),
                _ => {}
            }
        }
        Self { files }
    }

    /// Adds a file to the tree.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.files.insert(name.to_owned(), bytes);
        self
    }

    fn write(&self, root: &Path) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (name, bytes) in &self.files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
    }
}

/// Makes a disk that is one ext4 file system.
pub fn ext4(path: &Path, len: u64, tree: &Tree) {
    let root = tempfile::tempdir_in(path.parent().unwrap()).unwrap();
    tree.write(root.path());
    let _ = fs::remove_file(path);
    raw(path, len, &[]);
    let uuid = "5ea3a11e-0000-4000-8000-000000000001";
    let seed = format!("hash_seed={uuid},root_owner=0:0");
    let mut args = vec!["-q", "-F", "-t", "ext4", "-b", "4096", "-U", uuid, "-E", &seed, "-d"];
    args.extend([root.path().to_str().unwrap(), path.to_str().unwrap()]);
    tool("mke2fs", args);
}

/// Makes a GPT disk whose one partition, at 1 MiB, holds a file system.
pub fn gpt(path: &Path, len: u64, tree: &Tree) {
    partitioned(path, len, tree, "label: gpt\nstart=2048, type=linux\n", 2048 * 512);
}

/// Makes a DOS disk whose one partition begins at sector 63, off the 4 KiB grid.
pub fn dos63(path: &Path, len: u64, tree: &Tree) {
    partitioned(path, len, tree, "label: dos\nstart=63, type=83\n", 63 * 512);
}

fn partitioned(path: &Path, len: u64, tree: &Tree, table: &str, start: u64) {
    raw(path, len, &[]);
    let script = path.with_extension("sfdisk");
    fs::write(&script, table).unwrap();
    let line = "sfdisk -q --no-reread --no-tell-kernel \"$0\" < \"$1\"";
    tool("sh", ["-c", line, path.to_str().unwrap(), script.to_str().unwrap()]);
    let system = path.with_extension("ext4");
    // Space behind the partition for the second table of a GPT.
    ext4(&system, (len - start - (1 << 20)) / 4096 * 4096, tree);
    copy_sparse(&system, path, start);
    fs::remove_file(system).unwrap();
    fs::remove_file(script).unwrap();
}

/// Copies the nonzero blocks, so that the target stays sparse.
fn copy_sparse(from: &Path, to: &Path, start: u64) {
    let mut from = File::open(from).unwrap();
    let mut to = OpenOptions::new().write(true).open(to).unwrap();
    let mut block = vec![0; 64 << 10];
    let mut at = start;
    loop {
        let len = from.read(&mut block).unwrap();
        if len == 0 {
            return;
        }
        if block[..len].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(at)).unwrap();
            to.write_all(&block[..len]).unwrap();
        }
        at += len as u64;
    }
}

/// Converts a raw disk to qcow2 by `qemu-img convert` with further arguments.
pub fn qcow2(from: &Path, to: &Path, args: &[&str]) {
    let mut all = vec!["convert", "-f", "raw", "-O", "qcow2"];
    all.extend(args);
    all.extend([from.to_str().unwrap(), to.to_str().unwrap()]);
    tool("qemu-img", all);
}
