//! Measures a synthetic registry: `collect build DIR CHUNKS`, then `collect ask DIR CHUNKS`, which
//! asks questions and adds packs, and `collect run DIR`, which deletes a fifth of the releases and
//! collects twice. With `--catalog postgres://…` at the end, the catalog is in that database.
//!
//! Packs are sparse files with real footers, because a collection without repacking reads no
//! frames.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use seawall_api::content::SubtreeValue;
use seawall_api::digest::{ChunkDigest, PackDigest};
use seawall_api::index::{ChunkRef, DiskIndex, Extent, LEAF_SPAN, Leaf, LeafRef};
use seawall_api::names::ApplicationName;
use seawall_api::release::{Architecture, Bus, Disk, Document, Firmware, Machine, Release, Schema};
use seawall_api::units::{ChunkLen, DiskLen};
use seawall_server::app::maintenance::collect::CollectOptions;
use seawall_server::app::{Publisher, Registry, Settings};
use seawall_server::catalog::collect::DeleteRequest;
use seawall_server::catalog::postgres::{self, Address};
use seawall_server::catalog::sqlite;
use seawall_server::catalog::{
    Catalog, Frame, IndexRow, LeafRow, Located, NewPack, Publication, Purpose, collect::Grip,
};
use seawall_server::host::Host;
use seawall_store::backend::Directory;
use seawall_store::port::{ObjectName, ObjectStore};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RELEASE_COUNT: u64 = 100;
const CHUNK_LEN: u32 = 64 << 10;
const CHUNKS_PER_LEAF: u64 = LEAF_SPAN / CHUNK_LEN as u64;
const CHUNKS_PER_PACK: u64 = 512;
/// The compressed length of a chunk of 64 KiB, in bytes.
const STORED_LEN: u32 = 32 << 10;

struct Machinery;

impl Host for Machinery {
    fn now_secs(&self) -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
    }

    fn random(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let (words, database) = match words[..] {
        [.., "--catalog", database] => (&words[..words.len() - 2], Some(database)),
        _ => (&words[..], None),
    };
    match *words {
        ["build", dir, chunks] => {
            runtime.block_on(build(&At { dir: Path::new(dir), database }, chunks.parse()?))
        }
        ["ask", dir, chunks] => {
            runtime.block_on(ask(&At { dir: Path::new(dir), database }, chunks.parse()?))
        }
        ["run", dir] => runtime.block_on(run(&At { dir: Path::new(dir), database })),
        _ => Err("usage: collect build|ask DIR CHUNKS | run DIR [--catalog URL]".into()),
    }
}

/// The place of a registry.
struct At<'a> {
    dir: &'a Path,
    /// The address of the catalog's database, unless the catalog is in the folder.
    database: Option<&'a str>,
}

fn open(at: &At<'_>) -> Outcome<(Registry, Arc<dyn ObjectStore>, Catalog)> {
    let dir = at.dir.to_owned();
    fs::create_dir_all(dir.join("store"))?;
    let store: Arc<dyn ObjectStore> = Arc::new(Directory::open(&dir.join("store"))?);
    let catalog = match at.database {
        None => sqlite::open(&dir.join("catalog.sqlite"))?,
        Some(address) => {
            let address = Address::parse(address, &|_| None)?;
            postgres::open(&address, Arc::new(move || sqlite::blank(&dir)))?
        }
    };
    let registry =
        Registry::new(Arc::clone(&store), catalog.clone(), Arc::new(Machinery), Settings::new(2));
    Ok((registry, store, catalog))
}

fn application() -> ApplicationName {
    "bench/webshop".parse().unwrap_or_else(|_| unreachable!("a legal name"))
}

fn chunk(n: u64) -> ChunkDigest {
    ChunkDigest::of(&n.to_le_bytes())
}

async fn build(at: &At<'_>, chunk_count: u64) -> Outcome<()> {
    let (registry, store, catalog) = open(at)?;
    let leaves = (chunk_count / RELEASE_COUNT / CHUNKS_PER_LEAF).max(1);
    let mut next = 0;
    for n in 0..RELEASE_COUNT {
        let first = next;
        next += leaves * CHUNKS_PER_LEAF;
        for pack in (first..next).step_by(usize::try_from(CHUNKS_PER_PACK)?) {
            add_pack(at.dir, &catalog, pack..(pack + CHUNKS_PER_PACK).min(next)).await?;
        }
        let index = add_index(&*store, &catalog, first, leaves).await?;
        publish(&registry, n, &index).await?;
        print!("\r{} releases, {next} chunks", n + 1);
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}

/// Returns a pack file with a footer and no frames, and its row.
async fn add_pack(dir: &Path, catalog: &Catalog, chunks: std::ops::Range<u64>) -> Outcome<()> {
    const HEADER_LEN: u64 = 16;
    let mut footer = 1u32.to_le_bytes().to_vec();
    footer.extend(u32::try_from(chunks.end - chunks.start)?.to_le_bytes());
    let mut frames = Vec::new();
    for (at, n) in (0u64..).zip(chunks) {
        footer.extend(chunk(n).as_bytes());
        for field in [CHUNK_LEN, STORED_LEN, 1] {
            footer.extend(field.to_le_bytes());
        }
        frames.push(Frame {
            digest: chunk(n),
            offset: HEADER_LEN + at * u64::from(STORED_LEN),
            stored_len: STORED_LEN,
            plain_len: ChunkLen::new(u64::from(CHUNK_LEN))?,
            encoding: 1,
        });
    }
    let digest = PackDigest::of(&footer);
    let path = dir.join("store").join(ObjectName::Pack(digest).path());
    fs::create_dir_all(path.parent().ok_or("a pack has a folder")?)?;
    let file = File::create(path)?;
    let start = HEADER_LEN + frames.len() as u64 * u64::from(STORED_LEN);
    let mut tail = footer.clone();
    tail.extend(u32::try_from(footer.len())?.to_le_bytes());
    tail.extend(digest.as_bytes());
    file.write_all_at(&tail, start)?;
    let len = start + tail.len() as u64;
    catalog.add_pack(NewPack { digest, len, frames }, Grip::ANY).await?;
    Ok(())
}

async fn add_index(
    store: &dyn ObjectStore,
    catalog: &Catalog,
    first: u64,
    leaf_count: u64,
) -> Outcome<DiskIndex> {
    let mut leaves = Vec::new();
    for n in 0..leaf_count {
        let start = first + n * CHUNKS_PER_LEAF;
        let len = ChunkLen::new(u64::from(CHUNK_LEN))?;
        let chunks: Vec<_> =
            (start..start + CHUNKS_PER_LEAF).map(|n| ChunkRef { digest: chunk(n), len }).collect();
        let extents = chunks.iter().copied().map(Extent::Data).collect();
        let leaf = Leaf::new(extents, LEAF_SPAN)?;
        store.put(&ObjectName::Leaf(leaf.digest()), Bytes::from(leaf.encode())).await?;
        let row = LeafRow { digest: leaf.digest(), span_len: LEAF_SPAN, data_bytes: LEAF_SPAN };
        catalog.add_leaf(row, chunks, Grip::ANY).await?;
        leaves.push(LeafRef { digest: leaf.digest(), value: SubtreeValue([7; 32]) });
    }
    let disk_len = DiskLen::new(leaf_count * LEAF_SPAN)?;
    let index = DiskIndex::new(disk_len, 0, leaves)?;
    store.put(&ObjectName::Index(index.digest()), Bytes::from(index.encode())).await?;
    let row = IndexRow {
        digest: index.digest(),
        disk_len,
        content: index.content(),
        data_bytes: disk_len.get(),
    };
    catalog.add_index(row, Grip::ANY).await?;
    Ok(index)
}

async fn publish(registry: &Registry, n: u64, index: &DiskIndex) -> Outcome<()> {
    let disk = Disk {
        name: "root".parse()?,
        len: index.disk_len().get(),
        content: index.content(),
        index: index.digest(),
        bus: Bus::Virtio,
    };
    let machine = Machine {
        name: "web".parse()?,
        architecture: Architecture::X86_64,
        firmware: Firmware::Bios,
        cpus: 1,
        memory_mib: 512,
        start_order: 0,
        disks: vec![disk],
        network_cards: vec![],
        annotations: BTreeMap::new(),
        descriptor: None,
    };
    let release = Release::new(Document {
        schema: Schema::V1,
        application: application(),
        version: format!("1.{n}").parse()?,
        machines: vec![machine],
        networks: vec![],
        parameters: BTreeMap::new(),
        annotations: BTreeMap::new(),
    })?;
    let lease = registry.content.open_lease(application(), Purpose::Push).await?;
    let publisher = Publisher { lease, token: "bench".to_owned() };
    let bytes = Bytes::copy_from_slice(release.bytes());
    let (_, publication) = registry.releases.publish(&application(), bytes, publisher).await?;
    if publication == Publication::Created { Ok(()) } else { Err("published before".into()) }
}

/// Asks for half known, half unknown chunks, locates known ones, and adds packs.
async fn ask(at: &At<'_>, chunk_count: u64) -> Outcome<()> {
    const QUESTION_LEN: u64 = 65_536;
    const PACK_COUNT: u64 = 200;
    let (_, _, catalog) = open(at)?;
    let known = |n: u64| chunk(n.wrapping_mul(2_654_435_761) % chunk_count);
    for round in 0..4 {
        let first = round * QUESTION_LEN;
        let numbers = || first..first + QUESTION_LEN;
        let asked = numbers().map(|n| if n % 2 == 0 { known(n) } else { chunk(u64::MAX - n) });
        let asked: Vec<_> = asked.collect();
        let begun = Instant::now();
        let missing = catalog.missing_chunks(asked, Grip::NEWEST).await?.len() as u64;
        let (question, begun) = (begun.elapsed(), Instant::now());
        let located = catalog.locate_chunks(numbers().map(known).collect()).await?;
        let located = (matches!(located, Located::All { .. }), begun.elapsed());
        println!("question {question:.3?} ({missing} missing), places {:.3?}", located.1);
        if missing != QUESTION_LEN / 2 || !located.0 {
            return Err("the registry was built with fewer chunks".into());
        }
    }
    let mut times = Vec::new();
    for n in 0..PACK_COUNT {
        let first = u64::MAX / 2 + n * CHUNKS_PER_PACK;
        let begun = Instant::now();
        add_pack(at.dir, &catalog, first..first + CHUNKS_PER_PACK).await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |per_cent: usize| times[times.len() * per_cent / 100];
    println!("a pack {:.1?}, p90 {:.1?}, p99 {:.1?}", at(50), at(90), at(99));
    Ok(())
}

async fn run(at: &At<'_>) -> Outcome<()> {
    let (registry, _, catalog) = open(at)?;
    let options = CollectOptions::default();
    timed("first, nothing deleted", &registry, options).await?;
    for n in (0..RELEASE_COUNT).step_by(5) {
        let request = DeleteRequest {
            application: application(),
            version: format!("1.{n}").parse()?,
            now_secs: Machinery.now_secs(),
            deleted_by: "bench".to_owned(),
            moves_held: 0,
        };
        catalog.delete_release(request).await?;
    }
    timed("a fifth of the releases deleted", &registry, options).await?;
    timed("nothing deleted since", &registry, options).await?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("peak memory: {peak}");
    Ok(())
}

async fn timed(what: &str, registry: &Registry, options: CollectOptions) -> Outcome<()> {
    let begun = Instant::now();
    let done = registry.collector.collect(options).await?;
    println!("{what}: {:.3} s, {:?}", begun.elapsed().as_secs_f64(), done.swept);
    Ok(())
}
