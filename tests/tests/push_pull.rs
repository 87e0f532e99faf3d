//! A pull restores what was pushed: bytes, digests, holes, and bounds on cost.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use seawall_tests::{
    MIB, Noise, Tree, World, b3sum, dos63, ext4, gpt, qcow2, raw, same_bytes, tool,
};
use serde_json::Value;

/// Pushes two machines in two releases: `web` is upgraded; `db` is unchanged and shares its base
/// with `web`.
fn shop(world: &World) {
    let base = Tree::system("base");
    let web = base.clone().with("srv/web", Noise::new("web").bytes(2 * MIB));
    let db = base.with("srv/db", Noise::new("db").bytes(2 * MIB));
    gpt(&world.path("web-1.raw"), 96 * MIB, &web);
    gpt(&world.path("web-2.raw"), 96 * MIB, &web.upgraded("v2"));
    ext4(&world.path("db-1.raw"), 64 * MIB, &db);
    // Old enough for the disk to be recognised by its times.
    std::thread::sleep(Duration::from_millis(30));
}

fn push_shop_1(world: &World) -> Value {
    world.push("team/shop:1.0.0", &["web=root:web-1.raw", "db=root:db-1.raw"])
}

fn push_shop_2(world: &World) -> Value {
    world.push("team/shop:2.0.0", &["web=root:web-2.raw", "db=root:db-1.raw"])
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// Returns the bytes that a file allocates.
fn allocated(path: impl AsRef<Path>) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// All leaves of a hole are the same leaf, so a hole of tebibytes must cost nothing.
#[test]
fn a_hole_is_verified_with_one_question_however_long_it_is() {
    let world = World::new();
    raw(&world.path("a.raw"), 2 << 40, &[(1 << 40, Noise::new("a").bytes(4096))]);
    world.push("shop:1", &["a=a.raw"]);
    let done = world.local("verify shop:1 -vv").succeeds().prints("is intact; 4.0 KiB hashed");
    let asked = done.stderr.lines().filter(|line| line.contains("GET path=/v1/leaves/")).count();
    assert_eq!(asked, 2, "the leaf of zeros, and that with data: {done}");
}

#[test]
fn a_pulled_raw_disk_is_the_pushed_one_and_b3sum_prints_the_digest_that_show_prints() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);

    world.pull("team/shop:1.0.0", "host");

    same_bytes(world.path("host/web/root.raw"), world.path("web-1.raw"));
    same_bytes(world.path("host/db/root.raw"), world.path("db-1.raw"));
    world.holds("host", "team/shop:1.0.0");
    assert_eq!(world.disks("team/shop:1.0.0").len(), 2);
    // Holes stay holes: the pulled disk allocates no more than the pushed one.
    let (made, pulled) = (world.path("web-1.raw"), world.path("host/web/root.raw"));
    assert!(allocated(&pulled) <= allocated(&made) + MIB, "{} bytes", allocated(&pulled));
    assert!(allocated(&pulled) < 48 * MIB, "the disk is mostly holes");
}

#[test]
fn every_kind_of_qcow2_is_the_raw_disk_that_qemu_made_it_from() {
    let world = World::new();
    shop(&world);
    let made = world.path("web-1.raw");
    let variants: [(&str, &[&str]); 5] = [
        ("plain", &[]),
        ("zlib", &["-c"]),
        ("zstd", &["-c", "-o", "compression_type=zstd"]),
        ("small-clusters", &["-o", "cluster_size=4096"]),
        ("version-2", &["-o", "compat=0.10"]),
    ];
    push_shop_1(&world);
    let want = b3sum(&made);
    for (i, (name, args)) in variants.iter().enumerate() {
        qcow2(&made, &world.path(format!("{name}.qcow2")), args);
        let machine = format!("web=root:{name}.qcow2");
        let pushed = world.push(&format!("kinds:{i}"), &[&machine]);
        assert_eq!(pushed["disks"][0]["content"], *want, "{name}");
        assert_eq!(number(&pushed["reuse"]["sentBytes"]), 0, "{name} has nothing new: {pushed}");
    }
}

/// A first push asks about compressed leaves in pieces while it reads them.
#[test]
fn a_compressed_image_that_is_new_is_sent_whole_and_nothing_of_it_twice() {
    let world = World::new();
    let (one, two) = (Noise::new("one").text(20 * MIB), Noise::new("two").text(9 * MIB));
    let (again, elsewhere) = (one.clone(), one.clone());
    // The second chunk repeats in its own leaf, the third in another leaf.
    let pieces = [(0, one), (100 * MIB, again), (300 * MIB, elsewhere), (330 * MIB, two)];
    raw(&world.path("plain.raw"), 600 * MIB, &pieces);
    for (version, (format, options)) in [
        ("qcow2", "compression_type=zlib"),
        ("qcow2", "compression_type=zstd"),
        ("vmdk", "subformat=streamOptimized"),
    ]
    .into_iter()
    .enumerate()
    {
        let (raw, packed) = (world.path("plain.raw"), world.path(format!("{version}.img")));
        let compress: &[&str] = if format == "qcow2" { &["-c"] } else { &[] };
        let convert = ["convert", "-f", "raw", "-O", format, "-o", options];
        let paths = [raw.to_str().unwrap(), packed.to_str().unwrap()];
        tool("qemu-img", convert.iter().chain(compress).chain(&paths));
        let application = format!("app{version}");

        let pushed = world.push(&format!("{application}:1"), &[&format!("a=root:{version}.img")]);
        let same = world.push(&format!("{application}:2"), &["a=root:raw:plain.raw"]);
        world.pull(&format!("{application}:1"), &application);

        assert_eq!(pushed["disks"][0]["content"], *b3sum(&raw), "{options}");
        let sent = number(&pushed["reuse"]["sentBytes"]);
        // Each application is new, but the registry has the content: only the first push sends
        // data.
        let want = if version == 0 { 28 * MIB..30 * MIB } else { 0..1 };
        assert!(want.contains(&sent), "{options}: {pushed}");
        assert_eq!(number(&same["reuse"]["sentBytes"]), 0, "{options}: {same}");
        same_bytes(world.path(format!("{application}/a/root.raw")), &raw);
    }
}

#[test]
fn a_chain_of_backing_files_is_read_as_the_guest_sees_it() {
    let world = World::new();
    let base = world.path("base.raw");
    raw(&base, 8 * MIB, &[(0, Noise::new("a").bytes(MIB)), (4 * MIB, Noise::new("b").bytes(MIB))]);
    qcow2(&base, &world.path("base.qcow2"), &["-c"]);
    let image = |name: &str| world.path(name).to_str().unwrap().to_owned();
    for (below, above) in [("base.qcow2", "middle.qcow2"), ("middle.qcow2", "top.qcow2")] {
        let (below, above) = (image(below), image(above));
        tool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &below, &above]);
    }
    for (name, write) in [("middle.qcow2", "write -P 7 1M 64k"), ("top.qcow2", "write -z 4M 512k")]
    {
        tool("qemu-io", ["-f", "qcow2", "-c", write, &image(name)]);
    }
    tool("qemu-img", ["convert", "-O", "raw", &image("top.qcow2"), &image("flat.raw")]);

    let pushed = world.push("chain:1", &["web=root:top.qcow2"]);
    world.pull("chain:1", "host");

    assert_eq!(pushed["disks"][0]["content"], *b3sum(world.path("flat.raw")));
    same_bytes(world.path("host/web/root.raw"), world.path("flat.raw"));
}

#[test]
fn a_pulled_qcow2_passes_qemus_own_check_and_comparison() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);

    for into in ["host", "again"] {
        world.local(&format!("pull team/shop:1.0.0 --into {into} --format qcow2")).succeeds();
    }

    let image = |name: &str| world.path(name).to_str().unwrap().to_owned();
    for (pulled, made) in [("web", "web-1.raw"), ("db", "db-1.raw")] {
        let pulled = format!("host/{pulled}/root.qcow2");
        tool("qemu-img", ["check", "-f", "qcow2", &image(&pulled)]);
        let sides = ["compare", "-f", "qcow2", "-F", "raw", &image(&pulled), &image(made)];
        tool("qemu-img", sides);
    }
    // The same disk and format give the same file.
    same_bytes(world.path("host/web/root.qcow2"), world.path("again/web/root.qcow2"));
    // A push of the written file gives the same disk.
    let pushed = world.push("back:1", &["web=root:host/web/root.qcow2"]);
    assert_eq!(pushed["disks"][0]["content"], *b3sum(world.path("web-1.raw")));
}

#[test]
fn pushing_the_same_again_is_a_success_that_sends_nothing() {
    let world = World::new();
    shop(&world);
    let first = push_shop_1(&world);
    let again = push_shop_1(&world);
    let full = world
        .local("push team/shop:1.0.0 --full-scan --json --machine web=root:web-1.raw")
        .args(["--machine", "db=root:db-1.raw"])
        .succeeds()
        .json();

    assert_eq!(first["alreadyPresent"], false);
    assert!(number(&first["reuse"]["sentBytes"]) > 20 * MIB, "{first}");
    for report in [&again, &full] {
        assert_eq!(report["alreadyPresent"], true);
        assert_eq!(report["digest"], first["digest"]);
        assert_eq!(number(&report["reuse"]["sentBytes"]), 0);
    }
    assert_eq!(full["disks"][0]["recalled"], false, "a full scan reads every disk");
    assert_eq!(world.versions("team/shop"), ["1.0.0"]);
}

#[test]
fn another_content_under_a_version_that_is_taken_is_a_conflict_that_changes_nothing() {
    let world = World::new();
    shop(&world);
    let first = push_shop_1(&world);

    let push = "push team/shop:1.0.0 --machine web=root:web-2.raw --machine db=root:db-1.raw";
    world.local(push).exits_with(4).explains().says("1.0.0");

    let shown = world.local("show team/shop:1.0.0 --json").succeeds().json();
    assert_eq!(shown["digest"], first["digest"]);
}

#[test]
fn a_second_release_and_a_second_machine_send_only_what_is_new() {
    let world = World::new();
    shop(&world);
    let first = push_shop_1(&world);
    // web and db share a base of about 20 MiB, which is stored once.
    let reuse = &first["reuse"];
    let repeated = number(&reuse["repeatedBytes"]) + number(&reuse["registryBytes"]);
    assert!(repeated > 10 * MIB, "the machines' common base is sent once: {first}");

    let second = push_shop_2(&world);

    let sent = number(&second["reuse"]["sentBytes"]);
    assert!(sent > 0 && sent < 12 * MIB, "an upgrade of a tenth of the files: {second}");
    assert!(number(&second["reuse"]["unchangedDisks"]) > 0, "db was not read: {second}");
    let packs: u64 = seawall_tests::object_files(&world.path("registry"), "packs")
        .iter()
        .map(|pack| fs::metadata(pack).unwrap().len())
        .sum();
    let stored = number(&reuse["sentStoredBytes"]) + number(&second["reuse"]["sentStoredBytes"]);
    assert!(
        packs.abs_diff(stored) < 64 << 10,
        "what was sent ({stored}) is what lies there ({packs})"
    );
}

#[test]
fn a_host_that_has_a_release_fetches_only_what_the_next_one_adds() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);
    let second = push_shop_2(&world);

    let cold = world.pull("team/shop:1.0.0", "one");
    let warm = world.pull("team/shop:2.0.0", "two");
    let elsewhere = world
        .on_host("other-home", "pull team/shop:2.0.0 --into three --json")
        .env("SEAWALL_REGISTRY", world.path("registry"))
        .succeeds()
        .json();

    world.holds("two", "team/shop:2.0.0");
    world.holds("three", "team/shop:2.0.0");
    let fetched = |report: &Value| number(&report["transfer"]["fetchedPlainBytes"]);
    assert_eq!(number(&cold["transfer"]["seededBytes"]), 0);
    assert!(number(&warm["transfer"]["seededBytes"]) > 20 * MIB, "{warm}");
    assert_eq!(fetched(&warm), number(&second["reuse"]["sentBytes"]), "new bytes alone");
    assert!(fetched(&elsewhere) > 20 * MIB, "another host has no seeds");
}

#[test]
fn a_seed_that_was_changed_is_not_believed() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);
    push_shop_2(&world);
    world.pull("team/shop:1.0.0", "one");
    // Every 64th KiB of the seed is changed, which its size and name do not show.
    let seed = world.path("one/web/root.raw");
    let kept = fs::metadata(&seed).unwrap();
    for offset in (MIB..40 * MIB).step_by(65_536) {
        seawall_tests::flip_bit(&seed, offset);
    }
    fs::File::open(&seed).unwrap().set_modified(kept.modified().unwrap()).unwrap();

    world.pull("team/shop:2.0.0", "two");

    world.holds("two", "team/shop:2.0.0");
}

#[test]
fn a_dry_run_says_the_bytes_that_the_pull_then_moves_and_makes_nothing() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);
    push_shop_2(&world);
    world.pull("team/shop:1.0.0", "one");

    let dry = world.local("pull team/shop:2.0.0 --into two --dry-run --json").succeeds().json();
    assert!(!world.path("two").exists(), "a dry run makes nothing");
    let wet = world.pull("team/shop:2.0.0", "two");

    for key in ["fetchedChunks", "fetchedPlainBytes", "fetchedStoredBytes", "seededBytes"] {
        assert_eq!(dry["transfer"][key], wet["transfer"][key], "{key}\n{dry}\n{wet}");
    }
    assert_eq!(number(&dry["diskBytes"]), 160 * MIB);
    let text = world.local("pull team/shop:2.0.0 --into three --dry-run").succeeds().stdout;
    assert!(text.contains("MiB"), "{text}");
}

#[test]
fn a_lockfile_gives_the_release_again_after_its_channel_moved_on() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);
    push_shop_2(&world);
    world.local("promote team/shop:1.0.0 stable").succeeds();
    world.pull("team/shop:stable", "host");
    world.local("promote team/shop:2.0.0 stable").succeeds();

    // Only the lockfile is kept, for instance in version control.
    fs::create_dir(world.path("again")).unwrap();
    fs::copy(world.path("host/seawall.lock"), world.path("again/seawall.lock")).unwrap();
    world.local("pull team/shop:stable --into again --locked").succeeds();
    world.holds("again", "team/shop:1.0.0");

    world.local("pull team/shop:stable --into host --locked").succeeds();
    world.local("pull team/shop:2.0.0 --into host --locked").exits_with(4).explains();
    world.local("pull team/shop:stable --into nowhere --locked").exits_with(3).explains();
    assert!(!world.path("nowhere").exists());
}

#[test]
fn one_machine_is_pulled_alone() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);

    world.pull("team/shop:1.0.0/db", "by-reference");
    world.local("pull team/shop:1.0.0 --machine db --into by-flag").succeeds();
    world.local("pull team/shop:1.0.0 --machine nosuch --into none").exits_with(3).explains();

    for dir in ["by-reference", "by-flag"] {
        same_bytes(world.path(dir).join("db/root.raw"), world.path("db-1.raw"));
        assert!(!world.path(dir).join("web").exists());
    }
    assert!(!world.path("none").exists());
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let world = World::new();
    shop(&world);
    push_shop_1(&world);
    push_shop_2(&world);
    fs::create_dir(world.path("mine")).unwrap();
    fs::write(world.path("mine/letter"), "dear").unwrap();
    world.pull("team/shop:1.0.0", "host");

    world.local("pull team/shop:1.0.0 --into mine").exits_with(4).explains();
    world.local("pull team/shop:2.0.0 --into host").exits_with(4).explains().says("patch");

    assert_eq!(fs::read(world.path("mine/letter")).unwrap(), b"dear");
    assert_eq!(fs::read_dir(world.path("mine")).unwrap().count(), 1);
    world.holds("host", "team/shop:1.0.0");
    // A pull of the same release only verifies it.
    let again = world.pull("team/shop:1.0.0", "host");
    assert_eq!(again["alreadyPresent"], true);
}

#[test]
fn a_registry_gives_the_same_release_as_an_address_and_as_a_directory() {
    let world = World::new();
    shop(&world);
    let local = push_shop_1(&world);
    let served = world.path("served");
    let registry = seawall_tests::Registry::start_by(
        world.seawall("serve --listen 127.0.0.1:0").arg(served),
        &world,
    );

    let push =
        "push team/shop:1.0.0 --json --machine web=root:web-1.raw --machine db=root:db-1.raw";
    let remote = registry.client(&world, push).succeeds().json();
    registry.client(&world, "pull team/shop:1.0.0 --into host").succeeds();

    assert_eq!(remote["digest"], local["digest"]);
    assert_eq!(remote["alreadyPresent"], false);
    world.holds("host", "team/shop:1.0.0");
    // The host in the reference alone names the registry, too.
    let host = registry.url().strip_prefix("http://").unwrap();
    world.seawall(&format!("pull {host}/team/shop:1.0.0/db --into third")).succeeds();
    same_bytes(world.path("third/db/root.raw"), world.path("db-1.raw"));
}

#[test]
fn an_application_toml_says_everything_about_the_machines() {
    let world = World::new();
    raw(&world.path("root.raw"), 4 * MIB, &[(0, Noise::new("root").bytes(MIB))]);
    raw(&world.path("data.raw"), 2 * MIB, &[(MIB, Noise::new("data").bytes(4096))]);
    let text = r#"
        [annotations]
        owner = "shop@example.org"
        [parameters.hostname]
        default = "shop"
        [networks.backend]
        [machines.web]
        architecture = "x86_64"
        firmware = "uefi"
        cpus = 4
        memory = "2 GiB"
        start-order = 2
        disks = [{ name = "root", path = "root.raw" }, { path = "data.raw", bus = "nvme" }]
        network-cards = [{ network = "backend", model = "e1000e" }]
    "#;
    fs::write(world.path("application.toml"), text).unwrap();

    world.local("push shop:1.0 --file application.toml").succeeds();

    let shown = world.local("show shop:1.0 --json").succeeds().json();
    let machine = &shown["release"]["machines"][0];
    assert_eq!(machine["firmware"], "uefi");
    assert_eq!(machine["memoryMib"], 2048);
    assert_eq!(machine["networkCards"][0]["model"], "e1000e");
    assert_eq!(machine["disks"].as_array().unwrap().len(), 2);
    assert_eq!(machine["disks"][1]["bus"], "nvme");
    assert_eq!(shown["release"]["parameters"]["hostname"]["default"], "shop");
    world.pull("shop:1.0", "host");
    world.holds("host", "shop:1.0");
}

#[test]
fn a_disk_of_any_length_keeps_it() {
    let world = World::new();
    let mut machines = Vec::new();
    for len in [1, 511, 512, 4095, 4097, MIB + 512, 3 * MIB + 12_345] {
        let bytes = Noise::new("odd").bytes(len);
        raw(&world.path(format!("{len}.raw")), len, &[(0, bytes)]);
        machines.push(format!("m{len}=root:raw:{len}.raw"));
    }
    let machines: Vec<&str> = machines.iter().map(String::as_str).collect();

    world.push("odd:1", &machines);
    world.pull("odd:1", "host");

    world.holds("host", "odd:1");
    for len in [1, 4097, 3 * MIB + 12_345] {
        same_bytes(world.path(format!("host/m{len}/root.raw")), world.path(format!("{len}.raw")));
    }
}

#[test]
fn a_disk_of_holes_alone_costs_nothing() {
    let world = World::new();
    raw(&world.path("empty.raw"), 512 * MIB, &[]);
    fs::write(world.path("zeros.raw"), vec![0; 8 << 20]).unwrap();

    let pushed = world.push("nothing:1", &["a=root:empty.raw", "b=root:zeros.raw"]);
    world.pull("nothing:1", "host");

    assert_eq!(number(&pushed["reuse"]["sentBytes"]), 0);
    assert_eq!(fs::metadata(world.path("host/a/root.raw")).unwrap().len(), 512 * MIB);
    assert!(allocated(world.path("host/a/root.raw")) < MIB);
    assert!(allocated(world.path("host/b/root.raw")) < MIB, "zeros come back as holes");
    same_bytes(world.path("host/b/root.raw"), world.path("zeros.raw"));
    world.holds("host", "nothing:1");
}

#[test]
fn files_moved_on_a_disk_partitioned_at_sector_63_are_found_again() {
    let world = World::new();
    let tree = Tree::system("dos");
    dos63(&world.path("dos.raw"), 80 * MIB, &tree);
    // The same files, on the 4 KiB grid, in a file system without a partition table.
    let plain = (80 * MIB - 63 * 512 - MIB) / 4096 * 4096;
    ext4(&world.path("plain.raw"), plain, &tree);

    world.push("grid:1", &["a=root:plain.raw"]);
    let shifted = world.push("grid:2", &["a=root:dos.raw"]);
    world.pull("grid:2", "host");

    same_bytes(world.path("host/a/root.raw"), world.path("dos.raw"));
    let sent = number(&shifted["reuse"]["sentBytes"]);
    assert!(sent < 2 * MIB, "the grid is shifted to the partition: {shifted}");
}

#[test]
fn a_sparse_disk_of_100_gib_costs_what_its_data_costs() {
    let world = World::new();
    let gib = 1024 * MIB;
    let pieces = [0, 17 * gib + 512, 50 * gib, 100 * gib - MIB];
    let pieces = pieces.map(|at| (at, Noise::new(at.to_le_bytes()).bytes(MIB)));
    raw(&world.path("large.raw"), 100 * gib, &pieces);

    let pushed = world.push("large:1", &["a=root:large.raw"]);
    let pulled = world.pull("large:1", "host");

    assert!(number(&pushed["reuse"]["sentBytes"]) < 5 * MIB);
    assert!(number(&pulled["transfer"]["fetchedPlainBytes"]) < 5 * MIB);
    let path = world.path("host/a/root.raw");
    assert_eq!(fs::metadata(&path).unwrap().len(), 100 * gib);
    assert!(allocated(&path) < 6 * MIB);
    let file = fs::File::open(&path).unwrap();
    for (at, bytes) in pieces {
        let mut read = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, at).unwrap();
        assert!(read == bytes, "the data at {at}");
    }
}

#[test]
fn neither_side_needs_more_than_256_mib_of_memory_whatever_the_disk() {
    let world = World::new();
    let starts = [0, 20_000, 40_000, 60_000, 99_000].map(|mib| mib * MIB);
    let pieces = starts.map(|at| (at, Noise::new(at.to_le_bytes()).bytes(60 * MIB)));
    raw(&world.path("1.raw"), 100_000 * MIB, &pieces);
    drop(pieces);
    let registry = world.serve();
    let limit = 256 << 10;
    for args in [
        "push large:1 --machine a=root:1.raw --threads 2",
        "pull large:1 --into raw --threads 2",
        "pull large:1 --into qcow2 --format qcow2 --threads 2",
        "verify raw --threads 2",
    ] {
        let (done, peak) = registry.client(&world, args).start().ends_with_peak_kib();
        assert!(done.status.success(), "{done}");
        assert!(peak > 1000 && peak < limit, "{args}: {peak} KiB");
        println!("{peak} KiB: {args}");
    }
    let peak = seawall_tests::peak_memory_kib(registry.pid()).unwrap();
    assert!(peak < limit, "the registry: {peak} KiB");
    println!("{peak} KiB: the registry");
}

#[test]
fn the_order_and_number_of_threads_change_nothing() {
    let world = World::new();
    shop(&world);
    let one = world
        .local("push team/shop:1.0.0 --threads 1 --json --machine web=root:web-1.raw")
        .args(["--machine", "db=root:db-1.raw"])
        .succeeds()
        .json();
    let other = World::new();
    for disk in ["web-1.raw", "db-1.raw"] {
        fs::hard_link(world.path(disk), other.path(disk)).unwrap();
    }
    let many = other
        .local("push team/shop:1.0.0 --threads 5 --json --machine db=root:db-1.raw")
        .args(["--machine", "web=root:web-1.raw"])
        .succeeds()
        .json();
    assert_eq!(one["digest"], many["digest"]);
}

#[test]
fn a_disk_is_pushed_from_a_read_only_file_and_a_file_with_a_strange_name() {
    let world = World::new();
    let name = "d\u{ef}sk =1 \u{1f600}.raw";
    raw(&world.path(name), MIB, &[(0, Noise::new("x").bytes(4096))]);
    let mut permissions = fs::metadata(world.path(name)).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(world.path(name), permissions).unwrap();

    let run = world.local("push strange:1 --machine").arg(format!("a=root:{name}"));
    run.succeeds();
    world.pull("strange:1", "host");

    same_bytes(world.path("host/a/root.raw"), world.path(name));
}

/// On exFAT, link(2) fails with EPERM.
#[test]
fn a_registry_can_lie_on_a_file_system_without_hard_links() {
    let world = World::new();
    raw(&world.path("a.raw"), 4 * MIB, &[(MIB, Noise::new("a").bytes(MIB))]);
    let push = world.local("push shop:1 --machine a=a.raw");
    push.with_fault("link,linkat", "EPERM", [] as [&str; 0]).succeeds();
    let again = world.local("push shop:1 --machine a=a.raw --full-scan");
    again.with_fault("link,linkat", "EPERM", [] as [&str; 0]).succeeds();
    world.pull("shop:1", "host");
    world.holds("host", "shop:1");
}
