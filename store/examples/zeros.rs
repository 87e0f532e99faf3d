//! Writes the table of `content::zeros` to the file named by the first argument.
//!
//! Hashes 5 TiB of zeros, which takes a quarter of an hour or more on all cores.

use std::sync::atomic::{AtomicU64, Ordering};

use blake3::Hasher;
use blake3::hazmat::HasherExt;
use seawall_api::content::{SubtreeValue, merge};

const GRANULE: u64 = 2 << 20;
const LEAF: u64 = 256 << 20;
const GRANULES_END: u64 = 128 << 30;
const LEAVES_END: u64 = 5 << 40;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "zeros.bin".to_owned());
    let next = AtomicU64::new(0);
    let count = LEAVES_END / LEAF;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut leaves: Vec<(u64, Vec<SubtreeValue>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let zeros = vec![0; 1 << 20];
                    let mut done = Vec::new();
                    loop {
                        let leaf = next.fetch_add(1, Ordering::Relaxed);
                        if leaf >= count {
                            return done;
                        }
                        done.push((leaf, granules(leaf, &zeros)));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("hashing")).collect()
    });
    leaves.sort_by_key(|(leaf, _)| *leaf);
    let mut table = Vec::new();
    for (_, values) in leaves.iter().take((GRANULES_END / LEAF) as usize) {
        table.extend(values.iter().flat_map(|value| value.0));
    }
    for (_, values) in &leaves {
        table.extend(merge(values, false).0);
    }
    std::fs::write(path, table)
}

fn granules(leaf: u64, zeros: &[u8]) -> Vec<SubtreeValue> {
    (0..LEAF / GRANULE)
        .map(|granule| {
            let mut hasher = Hasher::new();
            hasher.set_input_offset(leaf * LEAF + granule * GRANULE);
            for _ in 0..GRANULE / zeros.len() as u64 {
                hasher.update(zeros);
            }
            SubtreeValue(hasher.finalize_non_root())
        })
        .collect()
}
