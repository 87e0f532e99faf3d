//! Completion in bash: drives its functions, which query the registry.

use std::process::Command;

use seawall_tests::{MIB, Noise, World, binary, raw};

/// Returns bash's suggestions with the cursor at the end of `line`.
fn offered(world: &World, line: &str) -> Vec<String> {
    // The words as bash splits them, which includes `:` and `@`.
    let script = r#"
        source <("$BINARY" completions bash)
        COMP_WORDBREAKS=$' \t\n"\'><=;|&(:@'
        COMP_LINE="$LINE"; COMP_POINT=${#COMP_LINE}
        _seawall "$BINARY" "${COMP_LINE##*[ :@]}" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script]).current_dir(world.path("."));
    bash.env("BINARY", binary()).env("LINE", line).env("HOME", world.path("home"));
    bash.env("SEAWALL_REGISTRY", world.path("registry"));
    bash.env("SEAWALL_STATE", world.path("home/state/seawall"));
    let output = bash.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn names_of_the_registry_and_of_this_host_are_offered() {
    let world = World::new();
    raw(&world.path("1.raw"), 2 * MIB, &[(0, Noise::new("c").bytes(MIB))]);
    world.push("shop:1.0.0", &["web=root:1.raw", "db=data:1.raw"]);
    world.push("shed:2.0.0", &["web=root:1.raw"]);
    world.local("promote shop:1.0.0 stable").succeeds();
    world.local("pull shop:1.0.0 --into pulled").succeeds();
    world.local("report pulled --host rack4").succeeds();
    for (line, offers) in [
        ("seawall sho", &["show"][..]),
        ("seawall show sh", &["shed:", "shop:"]),
        ("seawall show shop:", &["1.0.0", "stable"]),
        ("seawall patch pulled --to st", &["stable"]),
        ("seawall patch pulled --to 1", &["1.0.0"]),
        ("seawall diff shop:1.0.0 st", &["stable"]),
        ("seawall audit --action publ", &["publish"]),
        ("seawall webhooks add http://h --events publ", &["publish"]),
        ("seawall hosts --forget rac", &["rack4"]),
        ("seawall describe pulled --as ", &["hyperv", "libvirt", "proxmox", "qemu", "xen"]),
        ("seawall pull shop:st", &["stable"]),
        ("seawall pull shop:1.0.0/", &["1.0.0/db", "1.0.0/web"]),
        ("seawall export shop:1.0.0/web/", &["1.0.0/web/root"]),
        ("seawall pull shop:1.0.0 --machine ", &["db", "web"]),
        ("seawall channels shop st", &["stable"]),
        ("seawall promote shop:1.0.0 ", &["stable"]),
        ("seawall list she", &["shed"]),
        ("seawall export shop:1.0.0/web/root --format vm", &["vmdk", "vmdk-stream"]),
    ] {
        let mut found = offered(&world, line);
        found.retain(|word| !word.starts_with('-'));
        found.sort();
        assert_eq!(found, offers, "{line}");
    }
    let folders = offered(&world, "seawall patch pul");
    assert!(folders.iter().any(|folder| folder.starts_with("pulled")), "{folders:?}");
}

#[test]
fn a_registry_that_does_not_answer_is_no_error_and_no_directory_is_made() {
    let world = World::new();
    assert_eq!(offered(&world, "seawall show sh"), [""; 0]);
    assert!(!world.path("registry").exists());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let begun = std::time::Instant::now();
    assert_eq!(offered(&world, &format!("seawall show --registry {url} sh")), [""; 0]);
    assert!(begun.elapsed().as_secs() < 20, "it is given up soon");
}
