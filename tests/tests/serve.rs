//! `seawall serve` and other programs: curl, signals, scrapers, proxies.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seawall_tests::{
    MIB, Noise, Registry, World, b3sum, object_files, peak_memory_kib, raw, same_bytes, tool,
};
use serde_json::Value;

/// Starts a registry with `shop:1`, one disk of 6 MiB of data.
fn shop(world: &World) -> Registry {
    raw(&world.path("1.raw"), 16 * MIB, &[(MIB, Noise::new("one").bytes(6 * MIB))]);
    let registry = world.serve();
    registry.client(world, "push shop:1 --machine a=root:1.raw").succeeds();
    registry
}

/// Returns curl's output: status, content type and body.
fn curl(args: &[&str]) -> (String, String, String) {
    let format = ["-s", "-w", "\n%{http_code} %{content_type}"];
    let printed = tool("curl", format.iter().chain(args));
    let (body, last) = printed.rsplit_once('\n').unwrap();
    let (status, kind) = last.split_once(' ').unwrap();
    (status.to_owned(), kind.to_owned(), body.to_owned())
}

/// Returns the address of the longest pack, and its file.
fn a_pack(world: &World, registry: &Registry) -> (String, std::path::PathBuf) {
    let mut files = object_files(&world.path("registry"), "packs");
    files.sort_by_key(|file| fs::metadata(file).unwrap().len());
    let file = files.pop().expect("a push leaves a pack");
    let name = file.file_name().unwrap().to_str().unwrap();
    (registry.at(&format!("/v1/packs/blake3:{name}")), file)
}

#[test]
fn a_registry_refuses_to_listen_wider_than_loopback_without_tokens() {
    let world = World::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let run = world.seawall(&format!("serve data --listen {address}"));
        run.exits_with(2).explains().says("without authentication").says("help: ");
    }
    assert!(!world.path("data/catalog.sqlite").exists(), "it was refused before it began");
}

#[test]
fn with_tokens_only_who_has_one_comes_in_and_a_reader_changes_nothing() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("one").bytes(4096))]);
    let file = world.path("tokens");
    fs::write(&file, "ci publisher 0123456789abcdef-ci\nhost reader 0123456789abcdef-host\n")
        .unwrap();
    let serve = || world.seawall("serve registry --listen 0.0.0.0:0 --token-file tokens");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    serve().exits_with(2).explains().says("chmod 600");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let registry = Registry::start_by(serve(), &world);
    let url = registry.url().replace("0.0.0.0", "127.0.0.1");
    let client = |args: &str, token: Option<&str>| {
        let run = world.seawall(args).env("SEAWALL_REGISTRY", &url);
        token.map_or_else(
            || run.exits_with(7),
            |token| {
                world.seawall(args).env("SEAWALL_REGISTRY", &url).env("SEAWALL_TOKEN", token).ends()
            },
        )
    };
    let push = "push shop:1 --machine a=root:1.raw";
    client(push, None).explains();
    client("list", None).explains();
    let wrong = client("list", Some("0123456789abcdef-wrong")).explains();
    assert_eq!(wrong.status.code(), Some(7));
    let denied = client(push, Some("0123456789abcdef-host")).explains();
    assert_eq!(denied.status.code(), Some(7), "{denied}");
    assert!(!denied.stderr.contains("0123456789abcdef"), "a token is never shown: {denied}");

    let pushed = client(push, Some("0123456789abcdef-ci"));
    assert!(pushed.status.success(), "{pushed}");
    let listed = client("list shop --json", Some("0123456789abcdef-host"));
    assert_eq!(listed.json()["releases"][0]["publishedBy"], "ci");
    // Health probes have no token.
    assert_eq!(curl(&[&format!("{url}/readyz")]).0, "200");
    assert_eq!(curl(&[&format!("{url}/v1/applications")]).0, "401");
}

#[test]
fn sigterm_finishes_the_request_in_flight_and_succeeds() {
    let world = World::new();
    let registry = world.serve();
    // One pack of 16 MiB: more than the buffers between curl and the registry hold.
    raw(&world.path("1.raw"), 32 * MIB, &[(0, Noise::new("long").bytes(17 * MIB))]);
    registry.client(&world, "push shop:1 --machine a=root:1.raw --threads 1").succeeds();
    let (url, file) = a_pack(&world, &registry);
    let saved = world.path("slow.pack");
    let mut curl = Command::new("curl")
        .args(["-sf", "--limit-rate", "6M", "-o", saved.to_str().unwrap(), &url])
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while fs::metadata(&saved).map_or(0, |found| found.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the download does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(curl.try_wait().unwrap().is_none(), "the download is under way");

    let status = registry.terminate();

    assert!(curl.wait().unwrap().success(), "the download was cut off");
    same_bytes(saved, file);
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn pack_bytes_are_served_by_ranges_that_any_client_can_ask_for() {
    let world = World::new();
    let registry = shop(&world);
    let (url, file) = a_pack(&world, &registry);
    let len = fs::metadata(&file).unwrap().len();
    let bytes = fs::read(&file).unwrap();
    let part = world.path("part");
    let ranged = |range: &str| {
        let path = part.to_str().unwrap();
        let status = curl(&["-r", range, "-o", path, &url]).0;
        (status, fs::read(&part).unwrap())
    };

    assert!(ranged("0-99") == ("206".to_owned(), bytes[..100].to_vec()));
    assert!(ranged("1000-") == ("206".to_owned(), bytes[1000..].to_vec()));
    assert!(ranged("-36") == ("206".to_owned(), bytes[bytes.len() - 36..].to_vec()));
    let (status, kind, body) = curl(&["-r", &format!("{len}-"), &url]);
    assert_eq!((status.as_str(), kind.as_str()), ("416", "application/problem+json"), "{body}");
    let whole = world.path("whole");
    tool("curl", ["-sf", "-o", whole.to_str().unwrap(), &url]);
    same_bytes(whole, &file);
    // An object named by its digest is not sent twice.
    let etag = tool("curl", ["-sfI", &url]);
    let etag = etag.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an ETag").trim();
    let (status, _, body) = curl(&["-H", &format!("If-None-Match: {etag}"), &url]);
    assert_eq!((status.as_str(), body.as_str()), ("304", ""));
}

#[test]
fn a_release_document_is_its_canonical_bytes_with_its_digest_as_etag() {
    let world = World::new();
    let registry = shop(&world);
    let url = registry.at("/v1/applications/shop/releases/1");
    let saved = world.path("release.json");
    let head = tool("curl", ["-sf", "-D-", "-o", saved.to_str().unwrap(), &url]);

    assert!(head.contains(&b3sum(&saved)), "the ETag is the digest of the body:\n{head}");
    registry.client(&world, "pull shop:1 --into host").succeeds();
    same_bytes(&saved, world.path("host/release.json"));
    let by_digest = registry.at(&format!("/v1/applications/shop/releases/{}", b3sum(&saved)));
    assert_eq!(curl(&[&by_digest]).2, fs::read_to_string(&saved).unwrap());
}

#[test]
fn errors_are_problem_documents_with_a_code_and_the_requests_id() {
    let world = World::new();
    let registry = shop(&world);
    let zeros = "0".repeat(64);
    for (path, status, code) in [
        ("/v1/applications/nosuch".to_owned(), "404", "not-found"),
        ("/v1/applications/shop/releases/9".to_owned(), "404", "not-found"),
        ("/v1/nosuch".to_owned(), "404", "not-found"),
        (format!("/v1/packs/blake3:{zeros}"), "404", "not-found"),
        ("/v1/packs/blake3:xyz".to_owned(), "400", "invalid-input"),
        ("/v1/packs/..%2f..%2fcatalog.sqlite".to_owned(), "400", "invalid-input"),
        ("/v1/applications/..%2f..%2fetc".to_owned(), "400", "invalid-input"),
        ("/v1/applications/shop/releases/-1".to_owned(), "400", "invalid-input"),
    ] {
        let (actual, kind, body) = curl(&["--path-as-is", &registry.at(&path)]);
        assert_eq!(actual, status, "{path}: {body}");
        assert!(kind.starts_with("application/problem+json"), "{path}: {kind}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["code"], code, "{path}: {body}");
        assert_eq!(problem["status"].to_string(), status, "{path}: {body}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        assert!(problem["instance"].as_str().is_some_and(|id| !id.is_empty()), "{body}");
    }
    let (status, _, body) = curl(&["-X", "DELETE", &registry.at("/v1/applications")]);
    assert_eq!(status, "405", "{body}");
}

#[test]
fn a_body_over_its_limit_is_refused_and_the_registry_goes_on() {
    let world = World::new();
    let registry = shop(&world);
    // Over the limit, but less than the registry reads after an error, so that no reset hides the
    // response.
    raw(&world.path("huge"), 24 * MIB, &[]);
    let body = format!("@{}", world.path("huge").display());
    let json = ["-H", "Content-Type: application/json", "--data-binary", &body];
    let url = registry.at("/v1/chunks/missing");
    let (status, kind, text) = curl(&[&json[..], &[&url]].concat());
    assert_eq!(status, "413", "{text}");
    assert!(kind.starts_with("application/problem+json"), "{kind}");
    for nonsense in ["", "{", "[]", "{\"chunks\":[\"x\"]}", "\u{1}"] {
        let json = ["-H", "Content-Type: application/json", "--data-binary", nonsense, &url];
        assert_eq!(curl(&json).0, "400", "{nonsense:?}");
    }
    assert_eq!(registry.status("/readyz"), Some(200));
    let kib = peak_memory_kib(registry.pid()).unwrap();
    assert!(kib < 256 << 10, "the registry's peak memory is {kib} KiB");
}

#[test]
fn the_openapi_document_that_is_served_is_the_committed_one() {
    let world = World::new();
    let registry = world.serve();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../api-spec/openapi/v1.json");
    let committed: Value = serde_json::from_str(&fs::read_to_string(committed).unwrap()).unwrap();
    let served: Value = serde_json::from_str(&registry.text("/v1/openapi.json")).unwrap();
    assert_eq!(served, committed);
    assert!(served["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    // Every path of the description without parameters responds to GET as described.
    let mut asked = 0;
    for (path, methods) in served["paths"].as_object().unwrap() {
        if methods.get("get").is_some() && !path.contains('{') && path != "/v1/diff" {
            let status = registry.status(path).unwrap();
            let listed = methods["get"]["responses"].get(status.to_string());
            assert!(listed.is_some(), "{path} answers {status}, which is not documented");
            asked += 1;
        }
    }
    assert!(asked >= 4, "only {asked} paths were asked");
    assert!(registry.text("/docs/").contains("<html") || registry.status("/docs/") == Some(200));
}

#[test]
fn metrics_count_what_happened() {
    let world = World::new();
    let registry = shop(&world);
    let metrics = registry.text("/metrics");
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
        let line = line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("seawall_packs_total") >= 1.0);
    assert!(value("seawall_chunks_total") >= 50.0);
    assert!((value("seawall_publishes_total") - 1.0).abs() < 0.5);
    assert!(metrics.trim_end().ends_with("# EOF"), "OpenMetrics ends so");
}

#[test]
fn a_log_line_of_a_request_is_json_with_its_id() {
    let world = World::new();
    let run = world.seawall("serve data --listen 127.0.0.1:0 --log-format json");
    let mut command = run.into_command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
    let answer = reqwest::blocking::get(format!("{url}/v1/applications/nosuch"));
    tool("kill", ["-s", "TERM", &child.id().to_string()]);
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {line}\n{log}"));
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut ids = 0;
    for line in log.lines().filter(|line| !line.is_empty()) {
        let _: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        ids += u32::from(line.contains(&id));
    }
    assert!(ids > 0, "no line has the id {id}:\n{log}");
}

#[test]
fn two_pushes_of_one_version_at_once_publish_one_of_them() {
    let world = World::new();
    raw(&world.path("1.raw"), 16 * MIB, &[(0, Noise::new("one").bytes(6 * MIB))]);
    raw(&world.path("2.raw"), 16 * MIB, &[(0, Noise::new("two").bytes(6 * MIB))]);
    let registry = world.serve();
    let runs: Vec<_> = (0..6)
        .map(|i| {
            let disk = 1 + i % 2;
            let push = format!("push race:1 --machine a=root:{disk}.raw");
            let run = world.on_host(&format!("host-{i}"), &push);
            run.env("SEAWALL_REGISTRY", registry.url()).start()
        })
        .collect();
    let codes: Vec<_> = runs.into_iter().map(|run| run.ends()).collect();
    let won = |code| codes.iter().filter(|done| done.status.code() == Some(code)).count();
    assert_eq!((won(0), won(4)), (3, 3), "{codes:?}");
    registry.client(&world, "verify race:1").succeeds();
}

#[test]
fn of_two_promotions_at_once_one_is_a_conflict_or_they_follow_each_other() {
    let world = World::new();
    let registry = shop(&world);
    raw(&world.path("2.raw"), MIB, &[(0, Noise::new("two").bytes(4096))]);
    registry.client(&world, "push shop:2 --machine a=root:2.raw").succeeds();
    registry.client(&world, "promote shop:1 stable --expect new").succeeds();
    let runs: Vec<_> = (0..6)
        .map(|_| registry.client(&world, "promote shop:2 stable --expect 1").start())
        .collect();
    let codes: Vec<_> = runs.into_iter().map(|run| run.ends().status.code()).collect();
    let count = |code| codes.iter().filter(|c| **c == Some(code)).count();
    // Repeating a completed move succeeds, and no other request reports a false success.
    assert!(count(0) >= 1 && count(0) + count(4) == 6, "{codes:?}");
    let history = registry.client(&world, "channels shop stable --json").succeeds().json();
    assert_eq!(history["moves"].as_array().map(Vec::len), Some(2), "{history}");
}

#[test]
fn many_hosts_pull_at_once_and_all_get_the_same() {
    let world = World::new();
    let registry = shop(&world);
    let runs: Vec<_> = (0..8)
        .map(|i| {
            let pull = format!("pull shop:1 --into host-{i}");
            let run = world.on_host(&format!("home-{i}"), &pull);
            run.env("SEAWALL_REGISTRY", registry.url()).start()
        })
        .collect();
    for (i, run) in runs.into_iter().enumerate() {
        let done = run.ends();
        assert!(done.status.success(), "{done}");
        same_bytes(world.path(format!("host-{i}/a/root.raw")), world.path("1.raw"));
    }
}
