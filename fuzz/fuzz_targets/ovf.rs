//! Opens bytes as a package: a descriptor by itself, a manifest, an archive. An accepted package
//! describes a release whose disks are in the package.
//!
//! Seeds: the descriptors of `client/src/ovf/fixtures` and an archive, in `fuzz/seeds/ovf`.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seawall::ovf::{FILES_MAX, Package, manifest, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(lines) = manifest::parse(text) {
            let sound = lines.iter().filter(|line| line.digest.len() == 64);
            let again = manifest::write(sound.clone().map(|line| (&*line.file, &*line.digest)));
            assert_eq!(manifest::parse(&again).map_or(0, |lines| lines.len()), sound.count());
        }
        if let Ok(envelope) = parse(bytes, Path::new("fuzz.ovf")) {
            assert!(envelope.files.len() <= FILES_MAX);
            for disk in envelope.systems.iter().flat_map(|system| &system.disks) {
                assert!(disk.disk < envelope.disks.len());
            }
        }
    }
    // An archive is read from its file, whatever its name; a descriptor is read with the files
    // beside it.
    let folder = std::env::temp_dir().join(format!("seawall-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary directory can be written");
    let folder = folder.canonicalize().expect("it was made a moment ago");
    let path = folder.join("it.ova");
    std::fs::write(&path, bytes).expect("the temporary directory can be written");
    if let Ok(package) = Package::open(&path) {
        for (_, disk) in package.spec().disks() {
            let packed = disk.packed.as_ref().expect("every disk of a package is in it");
            for slice in &packed.slices {
                assert!(slice.path.starts_with(&folder), "nothing outside is read");
                let end = slice.range.as_ref().map_or(0, |range| range.end);
                assert!(end <= bytes.len() as u64, "a part of the archive");
            }
        }
    }
    let _ = std::fs::remove_file(&path);
});
