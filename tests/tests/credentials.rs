//! A token is sent only to its registry, and is read again when its file changes.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use seawall_tests::{MIB, Noise, Registry, World, raw};

/// A foreign server, which records all requests and demands a token.
struct Thief {
    port: u16,
    heard: Arc<Mutex<String>>,
}

impl Thief {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = vec![0; 8192];
                let len = stream.read(&mut request).unwrap_or(0);
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&request[..len]));
                let answer =
                    "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, heard }
    }

    /// Returns the bytes received so far. Asserts that there are some, and that they contain no
    /// token.
    #[track_caller]
    fn got_no_token(&self) {
        let heard = self.heard.lock().unwrap().clone();
        assert!(heard.contains("HTTP/1.1"), "nobody asked: {heard}");
        let heard = heard.to_lowercase();
        assert!(!heard.contains("authorization") && !heard.contains("s3cret"), "{heard}");
    }
}

const SECRET: &str = "s3cret-0123456789abcdef";

#[test]
fn a_host_in_a_reference_gets_no_token_of_the_environment() {
    let world = World::new();
    fs::write(world.path("token"), SECRET).unwrap();
    for (variable, value) in
        [("SEAWALL_TOKEN", SECRET), ("SEAWALL_TOKEN_FILE", world.path("token").to_str().unwrap())]
    {
        let thief = Thief::start();
        let show = world.seawall(&format!("show 127.0.0.1:{}/shop:1", thief.port));
        let done = show.env(variable, value).exits_with(7).explains();
        done.says("no token is configured").says(&format!("http://127.0.0.1:{}", thief.port));
        thief.got_no_token();
    }
}

#[test]
fn a_registry_that_a_pulled_folder_names_gets_no_token_but_its_own() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("1").bytes(5000))]);
    world.push("shop:1", &["web=root:1.raw"]);
    world.pull("shop:1", "host");
    fs::write(world.path("token"), SECRET).unwrap();
    let thief = Thief::start();
    let origin = format!("{{\"registry\":\"http://127.0.0.1:{}\"}}", thief.port);
    fs::write(world.path("host/.seawall/origin.json"), origin).unwrap();
    for args in ["report host", "report host --token-file token"] {
        world.seawall(args).env("SEAWALL_TOKEN", SECRET).exits_with(7).explains();
        thief.got_no_token();
    }
}

#[test]
fn a_variable_that_is_empty_is_as_good_as_none() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[(0, Noise::new("1").bytes(5000))]);
    let registry = world.serve();
    let folder = world.path("home/config/seawall");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), format!("registry = \"{}\"", registry.url())).unwrap();
    let mut run = world.seawall("push shop:1 --machine web=root:1.raw");
    for name in ["REGISTRY", "TOKEN", "TOKEN_FILE", "CONFIG", "STATE"] {
        run = run.env(&format!("SEAWALL_{name}"), "");
    }
    for name in ["NO_COLOR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"] {
        run = run.env(name, "");
    }
    run.succeeds();
}

fn write_tokens(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_registry_takes_the_tokens_that_its_file_has_now() {
    let world = World::new();
    let file = world.path("tokens");
    let line = |n: u32| format!("ci publisher 0123456789abcdef-{n}\n");
    write_tokens(&file, &line(1), 0o600);
    let serve = world.seawall("serve registry --listen 127.0.0.1:0 --token-file tokens");
    let registry = Registry::start_by(serve, &world);
    let list = |n: u32, code: i32| {
        let run = registry.client(&world, "list");
        run.env("SEAWALL_TOKEN", format!("0123456789abcdef-{n}")).exits_with(code);
    };
    list(1, 0);
    write_tokens(&file, &line(2), 0o600);
    list(1, 7);
    list(2, 0);
    // An invalid file changes nothing.
    write_tokens(&file, "ci", 0o600);
    list(2, 0);
    write_tokens(&file, &line(3), 0o644);
    list(2, 0);
    list(3, 7);
    fs::remove_file(&file).unwrap();
    list(2, 0);
    write_tokens(&file, &line(3), 0o600);
    list(3, 0);
    list(2, 7);
}
