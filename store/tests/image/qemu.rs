//! The reference: QEMU's tools, which create, read and describe images.

use std::path::{Path, PathBuf};
use std::process::Command;

use seawall_store::image::{DiskImage, Format, OpenOptions, open};
use tempfile::TempDir;

/// A directory for the images of one test.
pub(super) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a tool in the directory; arguments are separated by spaces.
    pub(super) fn run(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let program = words.next().unwrap();
        self.run_args(program, &words.collect::<Vec<_>>())
    }

    pub(super) fn run_args(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).current_dir(self.dir.path()).output();
        let output = output.unwrap_or_else(|err| panic!("{program} is needed: {err}"));
        assert!(
            output.status.success(),
            "{program} {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs commands of `qemu-io` on an image.
    pub(super) fn io(&self, image: &str, commands: &[&str]) {
        let mut args = vec!["-f", qemu_format(image), "-d", "unmap"];
        for command in commands {
            args.extend(["-c", *command]);
        }
        args.push(image);
        let output = self.run_args("qemu-io", &args);
        assert!(!output.contains("failed"), "{commands:?}: {output}");
    }

    /// Creates a raw image with holes, text-like data and noise.
    pub(super) fn raw(&self, name: &str, disk_len: u64) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::create(self.path(name)).unwrap();
        file.set_len(disk_len).unwrap();
        for (at, len, seed) in [(0, 70_000, 1), (300_000, 5_000, 2), (1 << 20, 900_000, 3)] {
            let end = disk_len.min(at + len);
            if at < end {
                file.write_all_at(&content(usize::try_from(end - at).unwrap(), seed), at).unwrap();
            }
        }
        let tail = disk_len.saturating_sub(1_000);
        file.write_all_at(&content(usize::try_from(disk_len - tail).unwrap(), 4), tail).unwrap();
    }

    /// Asserts that our reader and QEMU see the same bytes and the same holes.
    pub(super) fn assert_same(&self, image: &str) {
        self.assert_same_bytes(image);
        let opened = open(&self.path(image), &OpenOptions::default()).unwrap();
        self.assert_same_map(image, &*opened);
    }

    /// Asserts that our reader and QEMU see the same bytes, with the map and without it.
    pub(super) fn assert_same_bytes(&self, image: &str) {
        let format = qemu_format(image);
        self.run(&format!("qemu-img convert -f {format} -O raw {image} expected.raw"));
        let expected = std::fs::read(self.path("expected.raw")).unwrap();
        let opened = open(&self.path(image), &OpenOptions::default()).unwrap();
        assert_eq!(opened.disk_len(), u64::try_from(expected.len()).unwrap(), "{image}: length");

        for window in [4 << 20, 100_000] {
            assert!(read_mapped(&*opened, window) == expected, "{image}: bytes, {window}");
        }
        // Without the map, at odd offsets.
        let mut whole = vec![0xaa; expected.len()];
        for (i, part) in whole.chunks_mut(33_333).enumerate() {
            opened.read_at(u64::try_from(i * 33_333).unwrap(), part).unwrap();
        }
        assert!(whole == expected, "{image}: bytes without the map");

        std::fs::remove_file(self.path("expected.raw")).unwrap();
    }

    fn assert_same_map(&self, image: &str, opened: &dyn DiskImage) {
        let format = qemu_format(image);
        let map = self.run(&format!("qemu-img map -f {format} --output=json {image}"));
        let map: Vec<serde_json::Value> = serde_json::from_str(&map).unwrap();
        let runs = runs(opened);
        // For VHD and VHDX, QEMU does not report the holes of the file itself. Our reader does, and
        // reads the same bytes.
        let knows_holes = !matches!(format, "vpc" | "vhdx");
        // Data that QEMU reports as zeros is a hole of the image file.
        let data = |it: &&serde_json::Value| it["data"] == true && it["zero"] == false;
        for entry in map.iter().filter(|it| knows_holes && data(it)) {
            let (start, len) =
                (entry["start"].as_u64().unwrap(), entry["length"].as_u64().unwrap());
            let mut at = start;
            for run in &runs {
                if run.contains(&at) {
                    at = run.end;
                }
            }
            assert!(at >= start + len, "{image}: QEMU has data at {at}, our map a hole");
        }
        // Conversely, where QEMU reports zeros from the metadata, our reader reports a hole.
        for entry in map.iter().filter(|it| it["data"] == false && it["depth"] == 0) {
            let (start, len) =
                (entry["start"].as_u64().unwrap(), entry["length"].as_u64().unwrap());
            let data: u64 = runs
                .iter()
                .map(|run| run.end.min(start + len).saturating_sub(run.start.max(start)))
                .sum();
            assert_eq!(data, 0, "{image}: QEMU has a hole at {start}+{len}, our map data");
        }
    }
}

/// Returns QEMU's name for the format of an image with this name.
pub(super) fn qemu_format(image: &str) -> &'static str {
    match image.rsplit_once('.') {
        Some((_, "qcow2")) => "qcow2",
        Some((_, "vhd")) => "vpc",
        Some((_, "vhdx")) => "vhdx",
        Some((_, "vdi")) => "vdi",
        Some((_, "vmdk")) => "vmdk",
        _ => "raw",
    }
}

/// Returns every run of an image. Asserts that runs are in order, within the disk and not empty.
pub(super) fn runs(image: &dyn DiskImage) -> Vec<std::ops::Range<u64>> {
    let mut runs: Vec<std::ops::Range<u64>> = Vec::new();
    let mut at = 0;
    while let Some(run) = image.next_data(at).unwrap() {
        assert!(run.start >= at && run.start < run.end && run.end <= image.disk_len(), "{run:?}");
        at = run.end;
        runs.push(run);
    }
    runs
}

/// Returns the disk as read by its runs, in reads of at most `window` bytes.
pub(super) fn read_mapped(image: &dyn DiskImage, window: usize) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(image.disk_len()).unwrap()];
    for run in runs(image) {
        let mut at = run.start;
        let range = usize::try_from(run.start).unwrap()..usize::try_from(run.end).unwrap();
        for part in disk[range].chunks_mut(window) {
            image.read_at(at, part).unwrap();
            at += u64::try_from(part.len()).unwrap();
        }
    }
    disk
}

/// Returns bytes of which about half compress well.
pub(super) fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let noise = state.to_le_bytes()[3];
            if (i / 3000) % 2 == 0 { noise } else { b'a' + noise % 4 }
        })
        .collect()
}

pub(super) fn forced(format: Format) -> OpenOptions {
    OpenOptions { format: Some(format), ..OpenOptions::default() }
}

pub(super) fn fails(path: &Path, options: &OpenOptions) -> String {
    let err = open(path, options).err().unwrap_or_else(|| panic!("{} opens", path.display()));
    format!("{err}; {}", err.remedy().unwrap_or_default())
}
