//! A registry under attack: rejected clients cost nothing, admitted clients cannot take the
//! resources of others, and neither the log nor the disk stops the registry.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use seawall_tests::{KIB, MIB, Noise, Registry, World, raw, same_bytes, tool};
use serde_json::{Value, json};

const CI: &str = "0123456789abcdef-ci";
const TOKENS: &str = "ci publisher 0123456789abcdef-ci\nops publisher 0123456789abcdef-ops\n\
                      rack1 reader 0123456789abcdef-rack1\nrack2 reader 0123456789abcdef-rack2\n";
/// The time in which a refused request ends: the body is read for five seconds before the response
/// and for five seconds after it.
const REFUSED_TIME_MAX: Duration = Duration::from_secs(30);

/// Starts a registry with tokens.
fn guarded(world: &World) -> Registry {
    let file = world.path("tokens");
    fs::write(&file, TOKENS).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let serve = world.seawall("serve registry --listen 127.0.0.1:0 --token-file tokens");
    Registry::start_by(serve, world)
}

fn connect(registry: &Registry) -> TcpStream {
    let address = registry.url().strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(REFUSED_TIME_MAX)).unwrap();
    stream.set_write_timeout(Some(REFUSED_TIME_MAX)).unwrap();
    stream
}

/// Returns the head of a request with a body of unknown length.
fn chunked(method: &str, path: &str, token: &str) -> String {
    let token = match token {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{token}\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
}

/// Reads to the end of the connection and returns the registry's response.
fn rest_of(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too: the registry stopped reading before the last bytes.
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the connection is still open: {}", String::from_utf8_lossy(&bytes))
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[test]
fn a_refused_body_that_trickles_does_not_keep_its_connection() {
    let world = World::new();
    let registry = guarded(&world);
    let streams: Vec<_> = (0..8).map(|_| connect(&registry)).collect();
    let begun = Instant::now();
    for mut stream in &streams {
        stream.write_all(chunked("POST", "/v1/leases", "").as_bytes()).unwrap();
    }
    // Sends a byte now and then, until the registry closes the connection.
    let trickle = move |mut stream: TcpStream| {
        let answer = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || rest_of(&answer));
        while begun.elapsed() < REFUSED_TIME_MAX && stream.write_all(b"1\r\nx\r\n").is_ok() {
            if reader.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        reader.join().unwrap()
    };
    let threads: Vec<_> =
        streams.into_iter().map(|stream| std::thread::spawn(move || trickle(stream))).collect();
    for thread in threads {
        let answer = thread.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    assert!(begun.elapsed() < REFUSED_TIME_MAX, "{:?}", begun.elapsed());
}

#[test]
fn a_refused_body_that_pours_in_is_cut_off() {
    const POURED_MAX: usize = 512 << 20;
    let world = World::new();
    let registry = guarded(&world);
    for head in [
        chunked("POST", "/v1/leases", ""),
        chunked("PUT", "/v1/leases/x", CI),
        chunked("GET", "/healthz", ""),
    ] {
        let mut stream = connect(&registry);
        stream.write_all(head.as_bytes()).unwrap();
        let mut piece = b"10000\r\n".to_vec();
        piece.resize(piece.len() + 0x10000, b'x');
        piece.extend(b"\r\n");
        let mut poured = 0;
        while poured < POURED_MAX && stream.write_all(&piece).is_ok() {
            poured += piece.len();
        }
        assert!(poured < POURED_MAX, "{head}: all of {poured} bytes were taken");
    }
    assert_eq!(registry.status("/healthz"), Some(200));
}

/// Opens many connections, each with many requests whose responses nobody reads.
#[test]
fn requests_whose_answers_nobody_reads_cost_no_memory() {
    let world = World::new();
    let registry = guarded(&world);
    let peak_kib = || seawall_tests::peak_memory_kib(registry.pid()).unwrap();
    let before_kib = peak_kib();
    let asked = "GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(500);
    let flood: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(&registry);
            stream.write_all(asked.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_secs(2));
    let begun = Instant::now();
    assert_eq!(registry.status("/readyz"), Some(200));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let grown_mib = (peak_kib() - before_kib) >> 10;
    assert!(grown_mib < 64, "{} connections took {grown_mib} MiB", flood.len());
}

/// Starts `seawall serve` with this standard error, and returns the address.
fn serve_with_log(world: &World, log: Stdio) -> (Child, String) {
    let run = world.seawall("serve data --listen 127.0.0.1:0");
    let mut command = run.into_command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
    (child, url)
}

fn ends_by_sigterm(mut child: Child, what: &str) {
    tool("kill", ["-s", "TERM", &child.id().to_string()]);
    let begun = Instant::now();
    while begun.elapsed() < REFUSED_TIME_MAX {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0), "{what}: {status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("{what}: SIGTERM is ignored");
}

/// Returns the registry's count of lost log lines.
fn lost_lines(url: &str) -> u64 {
    let text = reqwest::blocking::get(format!("{url}/metrics")).unwrap().text().unwrap();
    let name = "seawall_log_dropped_lines_total ";
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let world = World::new();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (what, log) in [("a closed pipe", Stdio::from(closed)), ("a full disk", Stdio::from(full))]
    {
        let (child, url) = serve_with_log(&world, log);
        assert!(!url.is_empty(), "{what}: it does not start");
        for _ in 0..3 {
            let answer = reqwest::blocking::get(format!("{url}/v1/version")).unwrap();
            assert_eq!(answer.status(), 200, "{what}");
        }
        let begun = Instant::now();
        while lost_lines(&url) == 0 {
            assert!(begun.elapsed() < REFUSED_TIME_MAX, "{what}: no line is counted as lost");
        }
        ends_by_sigterm(child, what);
    }
}

#[test]
fn a_full_log_pipe_blocks_no_request() {
    let world = World::new();
    let (_reader, full) = std::io::pipe().unwrap();
    let (child, url) = serve_with_log(&world, Stdio::from(full));
    let client = reqwest::blocking::Client::new();
    // A pipe holds 64 KiB, and each request is a line of more than 100 bytes.
    let path = format!("{url}/v1/{}", "x".repeat(1000));
    for _ in 0..200 {
        assert_eq!(client.get(&path).send().unwrap().status(), 404);
    }
    ends_by_sigterm(child, "a full pipe");
}

#[test]
fn a_command_whose_errors_nobody_can_read_does_what_it_should() {
    let world = World::new();
    raw(&world.path("web.raw"), MIB, &[(0, Noise::new("web").bytes(100 * KIB))]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let run = |args: &str| {
        let mut command = world.local(args).into_command();
        command.stdout(Stdio::null()).stderr(full()).status().unwrap().code()
    };
    assert_eq!(run("push shop:1 --machine web=root:web.raw"), Some(0));
    assert_eq!(run("pull shop:1 --into host"), Some(0));
    world.holds("host", "shop:1");
    assert_eq!(run("list nosuch"), Some(3));
    assert_eq!(run("list nosuch --json"), Some(3));
}

/// Sends a request with a token.
fn ask(
    registry: &Registry,
    (method, path): (reqwest::Method, &str),
    token: &str,
    body: Option<&Value>,
) -> Response {
    let request = Client::new().request(method, registry.at(path));
    let request = request.bearer_auth(format!("0123456789abcdef-{token}"));
    body.map_or_else(
        || request.try_clone().unwrap(),
        |body| request.try_clone().unwrap().json(body),
    )
    .send()
    .unwrap()
}

/// Starts a registry with tokens and one release. Also returns the digest of the release.
fn guarded_shop(world: &World) -> (Registry, String) {
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("one").bytes(64 * KIB))]);
    let registry = guarded(world);
    let push = registry.client(world, "push shop:1 --machine a=root:1.raw --json");
    let pushed = push.env("SEAWALL_TOKEN", CI).succeeds().json();
    (registry, pushed["digest"].as_str().unwrap().to_owned())
}

#[test]
fn a_host_is_spoken_for_by_the_token_that_made_it() {
    use reqwest::Method;
    let world = World::new();
    let (registry, digest) = guarded_shop(&world);
    let runs = |instance: &str| {
        json!({ "application": "shop", "instance": instance, "release": digest, "disks": 1,
                "ttlSecs": 3600 })
    };
    let put = |token: &str, instance: &str| {
        let at = (Method::PUT, "/v1/hosts/rack1");
        ask(&registry, at, token, Some(&runs(instance))).status()
    };
    let forget = |token: &str| ask(&registry, (Method::DELETE, "/v1/hosts/rack1"), token, None);
    assert_eq!(put("rack1", "/x"), StatusCode::OK);
    assert_eq!(put("rack2", "/x"), StatusCode::FORBIDDEN, "another's hold is not taken over");
    assert_eq!(put("rack2", "/y"), StatusCode::FORBIDDEN, "nor is something said in its name");
    assert_eq!(put("ops", "/x"), StatusCode::OK, "a publisher may");
    assert_eq!(put("rack1", "/x"), StatusCode::OK, "and it stays who it was");
    assert_eq!(forget("rack2").status(), StatusCode::FORBIDDEN);
    assert_eq!(forget("rack1").status(), StatusCode::FORBIDDEN, "a reader forgets no host");
    assert_eq!(forget("ops").status(), StatusCode::NO_CONTENT);
    assert_eq!(put("rack2", "/x"), StatusCode::OK);
    assert_eq!(forget("ops").status(), StatusCode::NO_CONTENT);
}

#[test]
fn numbers_and_shapes_that_are_none_are_the_callers_mistake() {
    use reqwest::Method;
    let world = World::new();
    let (registry, digest) = guarded_shop(&world);
    let huge = json!(u64::MAX);
    let (post, put) = (Method::POST, Method::PUT);
    let bodies = [
        (&post, "/v1/fsck", json!({ "rateBytesPerSec": huge })),
        (&post, "/v1/fsck", json!({ "rateBytesPerSec": 1_u64 << 63 })),
        (&post, "/v1/collection", json!({ "rateMax": huge })),
        (&put, "/v1/applications/shop/policy", json!({ "keepYoungerSecs": huge })),
        (&put, "/v1/applications/shop/policy", json!({ "keepSupersededSecs": huge })),
        (&put, "/v1/applications/shop/policy", json!({ "keepExpiredHostsSecs": huge })),
        (&put, "/v1/applications/shop/quota", json!({ "dataBytesMax": huge })),
        (&put, "/v1/applications/shop/quota", json!({ "releaseCountMax": huge })),
        (
            &put,
            "/v1/hosts/h",
            json!({ "application": "shop", "instance": "x", "release": digest, "disks": huge,
                    "ttlSecs": huge }),
        ),
        (&post, "/v1/leases", json!(["shop"])),
        (&post, "/v1/fsck", json!([])),
        (&post, "/v1/fsck", json!(null)),
    ];
    for (method, path, body) in bodies {
        let answer = ask(&registry, (method.clone(), path), "ci", Some(&body));
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} {body}");
    }
    for query in [
        "/v1/audit?since=18446744073709551615",
        "/v1/audit?after=18446744073709551615",
        "/v1/audit?since=99999999999999999999",
        "/v1/audit?limit=4294967296",
        "/v1/hosts?limit=99999999999",
        "/v1/collection/plan?livePercentMin=256",
        "/v1/applications?limit=-1",
    ] {
        let status = ask(&registry, (Method::GET, query), "ci", None).status();
        assert!(!status.is_server_error(), "{query}: {status}");
    }
    let path = "/v1/applications/shop/channels/stable";
    let client = Client::new();
    for tag in ["\"18446744073709551615\"", "\"9223372036854775808\"", "\"-1\""] {
        let request = client.put(registry.at(path)).bearer_auth(CI).header("if-match", tag);
        let status = request.json(&json!({ "release": digest })).send().unwrap().status();
        assert!(status.is_client_error(), "{tag}: {status}");
    }
}

/// A separate file system, unmounted when dropped.
struct Volume {
    world: World,
}

impl Volume {
    /// Returns `None`, with a message, if this user may not mount.
    fn new(size: &str) -> Option<Self> {
        let world = World::new();
        fs::create_dir(world.path("vol")).unwrap();
        let size = format!("size={size}");
        let mount = ["-t", "tmpfs", "-o", &size, "seawall-test"];
        let mounted = Command::new("mount").args(mount).arg(world.path("vol")).output();
        match mounted {
            Ok(done) if done.status.success() => Some(Self { world }),
            other => {
                eprintln!("SKIPPED: no file system can be mounted here: {other:?}");
                None
            }
        }
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        tool("mount", ["-o", &options, self.world.path("vol").to_str().unwrap()]);
    }

    fn run(&self, args: &str) -> seawall_tests::Run {
        self.world.seawall(args).env("SEAWALL_REGISTRY", self.world.path("vol/registry"))
    }

    /// Leaves not a byte of it.
    fn fill(&self) {
        let mut file = File::create(self.world.path("vol/fill")).unwrap();
        for len in [64 * KIB, 4 * KIB, 1] {
            let piece = vec![1; usize::try_from(len).unwrap()];
            while file.write_all(&piece).is_ok() {}
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.world.path("vol")).status();
    }
}

fn shop_on(volume: &Volume) {
    let world = &volume.world;
    for version in 1..=2 {
        let noise = Noise::new([version]).bytes(200 * KIB);
        raw(&world.path(format!("{version}.raw")), MIB, &[(0, noise)]);
    }
    fs::create_dir(world.path("vol/registry")).unwrap();
    volume.run("push shop:1.0 --machine a=root:1.raw").succeeds();
    volume.run("push shop:2.0 --machine a=root:2.raw").succeeds();
}

fn reads_work(volume: &Volume, into: &str) {
    volume.run("list").succeeds().prints("shop");
    volume.run("show shop:1.0").succeeds();
    volume.run(&format!("pull shop:1.0 --into {into}")).succeeds();
    let pulled = volume.world.path(into).join("a/root.raw");
    same_bytes(pulled, volume.world.path("1.raw"));
    volume.run("verify shop:1.0").succeeds();
    volume.run("diff shop:1.0 shop:2.0").succeeds();
    volume.run(&format!("export shop:1.0/a/root --output {into}.qcow2")).succeeds();
}

#[test]
fn a_registry_on_a_full_disk_is_read_and_makes_room() {
    let Some(volume) = Volume::new("16M") else { return };
    shop_on(&volume);
    volume.fill();
    reads_work(&volume, "host");
    raw(&volume.world.path("3.raw"), MIB, &[(0, Noise::new("3").bytes(200 * KIB))]);
    volume.run("push shop:3.0 --machine a=root:3.raw").exits_with(8).explains().says("seawall gc");
    volume.run("rm shop:1.0").succeeds();
    volume.run("gc").succeeds();
    volume.run("list shop").succeeds().prints("2.0");
    let packs = seawall_tests::object_files(&volume.world.path("vol/registry"), "packs");
    assert_eq!(packs.len(), 1, "the pack of the deleted release is gone");
    fs::remove_file(volume.world.path("vol/fill")).unwrap();
    volume.run("push shop:3.0 --machine a=root:3.raw").succeeds();
    assert!(volume.world.path("vol/registry/reserve").exists(), "room is kept again");
}

#[test]
fn a_full_disk_does_not_keep_a_registry_from_serving() {
    let Some(volume) = Volume::new("16M") else { return };
    shop_on(&volume);
    volume.fill();
    let serve = volume.world.seawall("serve vol/registry --listen 127.0.0.1:0");
    let registry = Registry::start_by(serve, &volume.world);
    registry.client(&volume.world, "pull shop:2.0 --into host").succeeds();
    registry.client(&volume.world, "rm shop:1.0").succeeds();
    registry.client(&volume.world, "gc").succeeds();
}

#[test]
fn a_registry_that_is_mounted_read_only_is_read_and_says_that_it_is() {
    let Some(volume) = Volume::new("16M") else { return };
    shop_on(&volume);
    volume.remount("ro");
    reads_work(&volume, "host");
    for write in
        ["rm shop:1.0", "gc", "promote shop:1.0 stable", "push shop:3.0 --machine a=root:2.raw"]
    {
        volume.run(write).exits_with(7).explains().says("read-only");
    }
    volume.remount("rw");
    volume.run("rm shop:1.0").succeeds();
}
