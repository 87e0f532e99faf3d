//! The cost of questions and writes of many rows.

use std::time::{Duration, Instant};

use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::units::ChunkLen;
use seawall_server::catalog::collect::Grip;
use seawall_server::catalog::{Catalog, Frame, Located, NewPack};

use crate::server::{Catalogs, Server};

/// The number of chunks in a pack of the corpus.
const PACK_LEN: u32 = 616;
/// The number of chunks in one question.
const QUESTION_LEN: u32 = 65_536;
/// The time for the server's statistics to arrive on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(60);

fn chunk(number: u32) -> ChunkDigest {
    ChunkDigest::of(&number.to_le_bytes())
}

fn pack(number: u32) -> NewPack {
    let plain_len = ChunkLen::new(65_536).unwrap();
    let frames = (number * PACK_LEN..(number + 1) * PACK_LEN).map(|n| Frame {
        digest: chunk(n),
        offset: 16 + u64::from(n % PACK_LEN) * 20_000,
        stored_len: 20_000,
        plain_len,
        encoding: 1,
    });
    NewPack {
        digest: PackDigest::of(&number.to_le_bytes()),
        len: 1 << 24,
        frames: frames.collect(),
    }
}

async fn add_packs(catalog: &Catalog, packs: std::ops::Range<u32>) {
    for number in packs {
        catalog.add_pack(pack(number), Grip::ANY).await.unwrap();
    }
}

/// Asks for known and unknown chunks, half each.
async fn ask(catalog: &Catalog, known: u32) {
    let asked = (0..QUESTION_LEN).map(|n| match n % 2 {
        0 => chunk(n.wrapping_mul(2_654_435_761) % known),
        _ => chunk(u32::MAX - n),
    });
    let missing = catalog.missing_chunks(asked.collect(), Grip::NEWEST).await.unwrap();
    assert_eq!(missing.len(), QUESTION_LEN as usize / 2);
}

/// The plans of the statements are made while the tables are empty, when reading a whole table is
/// the cheapest. Later they would read it for each of 65,536 keys.
#[tokio::test]
async fn questions_and_writes_of_many_rows_use_the_keys_from_the_first_plan_on() {
    let Some(server) = Server::start() else { return };
    server.database("plans");
    let catalog = server.open("plans", "").unwrap();
    add_packs(&catalog, 0..2).await;
    ask(&catalog, 2 * PACK_LEN).await;
    add_packs(&catalog, 2..20).await;
    ask(&catalog, 20 * PACK_LEN).await;
    let sql = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'chunks'";
    let deadline = Instant::now() + TIME_MAX;
    loop {
        let said = server.sql("plans", sql);
        let (whole, by_key) = said.split_once('|').unwrap();
        assert!(whole.parse::<u32>().unwrap() < 3, "the migration reads it: {said}");
        if by_key.parse().unwrap_or(0) >= 2 * QUESTION_LEN {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Measures with `SEAWALL_BENCH_PACKS` packs: a thousand are 616,000 chunks. Run with `--release --
/// --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn how_fast_many_chunks_are_looked_up_and_added() {
    let Some(server) = Server::start() else { return };
    let packs = std::env::var("SEAWALL_BENCH_PACKS").map_or(1000, |count| count.parse().unwrap());
    server.database("speed");
    let catalog = server.open("speed", "").unwrap();
    let began = Instant::now();
    add_packs(&catalog, 0..packs).await;
    let known = packs * PACK_LEN;
    println!("{known} chunks: {:?} for each pack", began.elapsed() / packs);
    for round in 0..3 {
        let began = Instant::now();
        ask(&catalog, known).await;
        let asked = began.elapsed();
        let digests = (0..QUESTION_LEN).map(|n| chunk(n.wrapping_mul(2_654_435_761) % known));
        let began = Instant::now();
        let located = catalog.locate_chunks(digests.collect()).await.unwrap();
        assert!(matches!(located, Located::All { .. }));
        let located = began.elapsed();
        let mut times = Vec::new();
        for number in 0..100 {
            let began = Instant::now();
            add_packs(&catalog, packs + 100 * round + number..packs + 100 * round + number + 1)
                .await;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let (median, last) = (times[50], times[98]);
        println!("question {asked:?}, places {located:?}, a pack {median:?}, p99 {last:?}");
    }
}
