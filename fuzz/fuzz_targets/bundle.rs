//! Reads bytes as the table of a bundle's part, and as a part of a map: an accepted map is written
//! and read back.

#![no_main]

use std::path::Path;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use seawall::bundle::Part;
use seawall::depot::map::MapPart;

fuzz_target!(|bytes: &[u8]| {
    let _ = Part::read(bytes, bytes.len() as u64, Path::new("part"));
    if let Ok(map) = MapPart::decode(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(MapPart::decode(&map.encode()), Ok(map));
    }
});
