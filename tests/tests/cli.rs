//! Bad input: a clear message, the documented exit status, never a panic.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use seawall_tests::{Done, MIB, Noise, World, raw, tool};
use serde_json::Value;

/// Creates a world with `shop:1` and `shop:2` in its directory registry.
fn shop() -> World {
    let world = World::new();
    for version in 1..=2u64 {
        let bytes = Noise::new(version.to_le_bytes()).bytes(MIB);
        raw(&world.path(format!("{version}.raw")), 4 * MIB, &[(0, bytes)]);
        world.push(&format!("shop:{version}"), &[&format!("a=root:{version}.raw")]);
    }
    world
}

/// Asserts that an error is reported properly. The next step of clap's own errors is `--help`.
#[track_caller]
fn refused(done: &Done) {
    assert!(done.stderr.contains("error: "), "{done}");
    assert!(!done.stderr.contains("panicked") && !done.stderr.contains("defect"), "{done}");
    assert!(done.stderr.contains("help: ") || done.stderr.contains("--help"), "{done}");
    assert!(done.stdout.is_empty(), "an error goes to standard error\n{done}");
    assert!(done.stderr.len() < 4000, "nobody reads that much\n{done}");
}

#[test]
fn an_invalid_reference_is_refused_with_the_valid_form() {
    let world = shop();
    let long = "a".repeat(2000);
    for reference in [
        "",
        "shop",
        "shop:",
        ":1",
        "Shop:1",
        "shop:1/../../etc",
        "../shop:1",
        "shop@blake3:00",
        "a/b/c/d/e:1",
        "shop:1\n2",
        "shop:\u{1b}[2J",
        "sh\u{202e}op:1",
        &long,
        "shop:1/a/b/c",
    ] {
        let done = world.local("show").arg(reference).ends();
        assert_eq!(done.status.code(), Some(2), "{reference:?}\n{done}");
        refused(&done);
        assert!(!done.stderr.contains('\u{1b}') && !done.stderr.contains('\u{202e}'), "{done}");
    }
}

#[test]
fn missing_names_are_exit_status_3() {
    let world = shop();
    for args in [
        "show shop:9",
        "show shop:nosuch",
        "show nosuch:1",
        "pull shop:9 --into x",
        "diff shop:1 shop:9",
        "diff shop:9 shop:1",
        "promote shop:9 stable",
        "list nosuch",
        "channels nosuch",
        "channels shop nosuch",
        "verify shop:9",
        "patch x --to shop:1",
        "verify ./nosuch",
        "push shop:3 --machine a=root:nosuch.raw",
        "push shop:3 --file nosuch",
    ] {
        let done = world.local(args).ends();
        assert_eq!(done.status.code(), Some(3), "{args}\n{done}");
        assert!(done.stderr.contains("error: ") && done.stdout.is_empty(), "{done}");
        assert!(!done.stderr.contains("panicked"), "{done}");
    }
    let nowhere = world.seawall("list --registry ./nowhere").exits_with(3);
    refused(&nowhere);
    assert!(!world.path("nowhere").exists(), "to look makes nothing");
}

#[test]
fn a_registry_that_cannot_be_reached_is_exit_status_6() {
    let world = World::new();
    // Nobody listens on port 9 of loopback.
    let done = world.seawall("list --registry http://127.0.0.1:9").exits_with(6).explains();
    refused(&done);
    let done = world.seawall("list").exits_with(2);
    refused(&done.says("SEAWALL_REGISTRY"));
    for registry in ["ftp://x", "http://", "nonsense"] {
        let done = world.seawall("list --registry").arg(registry).ends();
        assert_eq!(done.status.code(), Some(2), "{done}");
        refused(&done);
    }
}

#[test]
fn a_bad_application_toml_says_where_and_what() {
    let world = World::new();
    raw(&world.path("1.raw"), MIB, &[]);
    let deep = format!("x = {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let long = "#".repeat(40 << 20);
    let cases: [(&str, &str); 12] = [
        ("", "machine"),
        ("machines", "line 1"),
        ("[machines.web]", "disks"),
        ("[machines.web]\ncpu = 2\ndisks=[{path=\"1.raw\"}]", "`cpu`"),
        ("[machines.web]\ncpus = 0\ndisks=[{path=\"1.raw\"}]", "cpus"),
        ("[machines.web]\ncpus = 99999999999\ndisks=[{path=\"1.raw\"}]", "cpus"),
        ("[machines.\"../x\"]\ndisks=[{path=\"1.raw\"}]", "machine name"),
        ("[machines.web]\ndisks=[{name=\"/etc\",path=\"1.raw\"}]", "disk name"),
        ("[machines.web]\nmemory=\"2 XiB\"\ndisks=[{path=\"1.raw\"}]", "memory"),
        ("[machines.web]\ndisks=[{path=\"1.raw\"}]\nnetwork-cards=[{network=\"x\"}]", "network"),
        (&deep, "line 1"),
        (&long, "bytes"),
    ];
    for (text, says) in cases {
        fs::write(world.path("application.toml"), text).unwrap();
        let done = world.local("push shop:1 --file application.toml").ends();
        let shown: String = text.chars().take(60).collect();
        assert_eq!(done.status.code(), Some(2), "{shown}\n{done}");
        assert!(done.stderr.contains(says), "{says} of {shown}\n{done}");
        refused(&done);
    }
}

#[test]
fn a_hostile_qcow2_is_refused_by_name_and_costs_little() {
    let world = World::new();
    let image = |name: &str| world.path(name).to_str().unwrap().to_owned();
    raw(&world.path("1.raw"), 4 * MIB, &[(0, Noise::new("q").bytes(MIB))]);
    seawall_tests::qcow2(&world.path("1.raw"), &world.path("sound.qcow2"), &[]);
    let sound = fs::read(world.path("sound.qcow2")).unwrap();
    let edited = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let huge = u64::MAX.to_be_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("cut-in-header", sound[..50].to_vec()),
        ("cut-in-tables", sound[..70_000].to_vec()),
        ("cut-in-data", sound[..sound.len() / 2].to_vec()),
        ("version-9", edited(4, &9u32.to_be_bytes())),
        ("clusters-of-2-to-63", edited(20, &63u32.to_be_bytes())),
        ("length-of-2-to-64", edited(24, &huge)),
        ("l1-too-short", edited(36, &[0; 4])),
        ("l1-past-the-end", edited(40, &huge)),
        ("encrypted", edited(32, &1u32.to_be_bytes())),
        ("unknown-feature", edited(72, &(1u64 << 40).to_be_bytes())),
        ("backing-name-past-the-end", edited(8, &[0xff; 12])),
    ];
    for (name, bytes) in &cases {
        fs::write(world.path(format!("{name}.qcow2")), bytes).unwrap();
    }
    tool("qemu-img", ["create", "-q", "-f", "qcow2", &image("loop-a.qcow2"), "4M"]);
    tool("qemu-img", ["create", "-q", "-f", "qcow2", &image("loop-b.qcow2"), "4M"]);
    for (from, to) in [("loop-a", "loop-b"), ("loop-b", "loop-a")] {
        let (from, to) = (image(&format!("{from}.qcow2")), image(&format!("{to}.qcow2")));
        tool("qemu-img", ["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", &to, &from]);
    }
    tool(
        "qemu-img",
        [
            "create",
            "-q",
            "-f",
            "qcow2",
            "-u",
            "-F",
            "raw",
            "-b",
            "/nosuch",
            &image("orphan.qcow2"),
            "4M",
        ],
    );
    let names = cases.iter().map(|(name, _)| *name).chain(["loop-a", "orphan"]);
    for name in names {
        let begun = std::time::Instant::now();
        let file = format!("{name}.qcow2");
        // Memory is limited from outside: a program that believes an absurd size fails.
        let push = format!("a=root:{file}");
        let done = world.local("push bad:1 --machine").arg(push).ends();
        let code = done.status.code();
        assert!(matches!(code, Some(2 | 3 | 5)), "{name}\n{done}");
        assert!(done.stderr.contains(&file), "{name} is named\n{done}");
        refused(&done);
        assert!(begun.elapsed().as_secs() < 10, "{name} took {:?}", begun.elapsed());
    }
    assert_eq!(world.versions("bad"), [""; 0], "nothing of it was published");
}

#[test]
fn other_formats_and_things_that_are_no_files_are_refused_not_taken_for_raw() {
    let world = World::new();
    raw(&world.path("1.raw"), 4 * MIB, &[(0, Noise::new("q").bytes(MIB))]);
    let image = |name: &str| world.path(name).to_str().unwrap().to_owned();
    for format in ["qed", "parallels"] {
        let to = image(&format!("1.{format}"));
        tool("qemu-img", ["convert", "-f", "raw", "-O", format, &image("1.raw"), &to]);
        let done = world.local("push bad:1 --machine").arg(format!("a=root:1.{format}")).ends();
        assert!(matches!(done.status.code(), Some(2 | 5)), "{done}");
        refused(&done);
    }
    fs::create_dir(world.path("folder")).unwrap();
    symlink("loop", world.path("loop")).unwrap();
    fs::write(world.path("empty"), "").unwrap();
    tool("mkfifo", [world.path("pipe")]);
    for name in ["folder", "loop", "empty", "pipe", "/dev/null", "/dev/zero"] {
        let done = world.local("push bad:1 --machine").arg(format!("a=root:{name}")).ends();
        assert!(matches!(done.status.code(), Some(1..=5)), "{name}\n{done}");
        assert!(done.stderr.contains("error: ") && !done.stderr.contains("panicked"), "{done}");
    }
    assert_eq!(world.versions("bad"), [""; 0]);
}

#[test]
fn flags_that_contradict_or_lack_something_are_refused() {
    let world = shop();
    for args in [
        "push shop:3",
        "push shop:3 --machine a",
        "push shop:3 --machine =x",
        "push shop:3 --machine ../a=1.raw",
        "push shop:3 --machine a=root:1.raw --machine a=root:2.raw",
        "push shop:3 --machine a=root:1.raw,root:2.raw",
        "push shop:3 --machine a=1.raw --file application.toml",
        "push shop:stable --machine a=root:1.raw",
        "push shop --machine a=root:1.raw",
        "pull shop:1 --format vdi",
        "pull shop:1/a/root",
        "pull shop:1 --threads 0",
        "patch --to shop:1",
        "promote shop:1 1",
        "promote shop:1 Stable",
        "promote shop:1 stable --expect x",
        "nosuch",
    ] {
        let done = world.local(args).ends();
        assert_eq!(done.status.code(), Some(2), "{args}\n{done}");
        refused(&done);
    }
    assert_eq!(world.versions("shop").len(), 2);
}

#[test]
fn everything_that_lists_prints_json_that_parses_and_nothing_else() {
    let world = shop();
    world.local("promote shop:1 stable").succeeds();
    world.pull("shop:1", "host");
    for args in [
        "list --json",
        "list shop --json",
        "show shop:stable --json",
        "channels shop --json",
        "channels shop stable --json",
        "diff shop:1 shop:2 --json",
        "verify shop:1 --json",
        "verify host --json",
        "pull shop:2 --into x --dry-run --json",
        "patch host --to shop:2 --dry-run --json",
        "promote shop:2 stable --json",
        "push shop:2 --machine a=root:2.raw --json",
        "pull shop:2 --into two --json",
        "patch host --to shop:2 --json",
    ] {
        let value: Value = world.local(args).succeeds().json();
        assert!(value.is_object(), "{args}: {value}");
    }
}

#[test]
fn without_a_terminal_there_is_no_colour_no_prompt_and_no_cursor_movement() {
    let world = shop();
    for args in ["list", "show shop:1", "diff shop:1 shop:2", "pull shop:1 --into host", "show x"] {
        for colour in [None, Some("1")] {
            let mut run = world.local(args);
            if let Some(colour) = colour {
                run = run.env("NO_COLOR", colour).env("TERM", "xterm-256color");
            }
            let done = run.ends();
            let said = format!("{}{}", done.stdout, done.stderr);
            assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{done}");
        }
    }
    let quiet = world.local("pull shop:2 --into quiet --quiet").succeeds();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn no_color_is_honoured_on_a_terminal() {
    let world = shop();
    // `script` gives the command a terminal.
    let binary = seawall_tests::binary().display().to_string();
    let registry = world.path("registry").display().to_string();
    let on_terminal = |setting: &str| {
        let line = format!("{setting} {binary} --registry {registry} show Bad; true");
        tool("script", ["-qec", &line, "/dev/null"])
    };
    let coloured = |text: &str| text.contains("\u{1b}[3") || text.contains("\u{1b}[1m");
    assert!(!coloured(&on_terminal("NO_COLOR=1")), "{}", on_terminal("NO_COLOR=1"));
}

#[test]
fn completions_are_accepted_by_their_shell_and_man_pages_by_man() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.seawall(&format!("completions {shell}")).succeeds().stdout;
        assert!(script.contains("seawall") && script.contains("SEAWALL_COMPLETE"), "{shell}");
        fs::write(world.path("script"), &script).unwrap();
        tool(shell, ["-n".as_ref(), world.path("script").as_os_str()]);
    }
    world.seawall("man pages").succeeds();
    for page in ["seawall.1", "seawall-push.1", "seawall-patch.1", "seawall-serve.1"] {
        let text = fs::read_to_string(world.path("pages").join(page)).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}");
    }
    let page = world.path("pages/seawall-push.1");
    let shown = tool("man", ["--warnings".as_ref(), "-l".as_ref(), page.as_os_str()]);
    assert!(shown.contains("--machine"), "{shown}");
}

#[test]
fn a_configuration_file_names_the_registry_and_a_flag_wins() {
    let world = shop();
    let folder = world.path("home/config/seawall");
    fs::create_dir_all(&folder).unwrap();
    let registry = world.path("registry");
    fs::write(folder.join("config.toml"), format!("registry = {registry:?}\n")).unwrap();

    let listed = world.seawall("list --json").succeeds().json();
    assert_eq!(listed["applications"][0]["application"], "shop");
    world.seawall("push b:1 --machine a=root:1.raw --registry ./other").succeeds();
    let other = world.seawall("list --json --registry ./other").succeeds().json();
    assert_eq!(other["applications"].as_array().map(Vec::len), Some(1));

    for bad in ["registry = 1", "nosuch = 1", "registry ="] {
        fs::write(folder.join("config.toml"), bad).unwrap();
        let done = world.seawall("list").exits_with(2);
        refused(&done.says("config.toml"));
    }
}

#[test]
fn a_host_in_a_reference_cannot_collect_a_configured_token() {
    let world = World::new();
    let folder = world.path("home/config/seawall");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("token"), "0123456789abcdef-secret").unwrap();
    let text = "registry = \"http://127.0.0.1:9\"\ntoken_file = \"token\"\n";
    fs::write(folder.join("config.toml"), text).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let len = std::io::Read::read(&mut stream, &mut request).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&request[..len]).into_owned()
    });

    let _ = world.seawall(&format!("show 127.0.0.1:{port}/shop:1")).ends();

    let request = heard.join().unwrap();
    assert!(request.starts_with("GET "), "{request}");
    assert!(!request.contains("0123456789abcdef"), "{request}");
}

/// The standard error of a unit may be a file on a full disk.
#[test]
fn an_unwritable_standard_error_stops_no_command() {
    let world = World::new();
    raw(&world.path("a.raw"), 8 * MIB, &[(0, Noise::new("a").bytes(2 * MIB))]);
    for (line, code) in [
        ("push shop:1 --machine a=a.raw", 0),
        ("pull shop:1 --into host", 0),
        ("verify shop:1", 0),
        ("show shop:2", 3),
        ("show shop:2 --json", 3),
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = world.local(line).into_command();
        let status = command.stdout(std::process::Stdio::null()).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}

#[test]
fn a_disk_that_is_written_while_it_is_pushed_is_refused() {
    let world = World::new();
    raw(&world.path("1.raw"), 96 * MIB, &[(0, Noise::new("busy").bytes(48 * MIB))]);
    let path = world.path("1.raw");
    let mut run = world.local("push busy:1 --machine a=root:1.raw --threads 1").start();
    while run.is_running() {
        seawall_tests::flip_bit(&path, 47 * MIB);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let done = run.ends();
    assert_eq!(done.status.code(), Some(4), "{done}");
    done.explains().says("1.raw");
    assert_eq!(world.versions("busy"), [""; 0]);
}
