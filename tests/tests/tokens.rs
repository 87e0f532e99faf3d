//! Tokens that the registry keeps, from the command line: the first one, limited ones, their end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use seawall_tests::{MIB, Noise, Registry, World, raw, same_bytes};

#[test]
fn a_team_publishes_its_own_applications_until_its_token_is_revoked() {
    let world = World::new();
    raw(&world.path("disk.raw"), 16 * MIB, &[(0, Noise::new("disk").bytes(MIB))]);
    // The first token is made in the registry's directory.
    let first = "token create ops --role publisher --output ops-token";
    world.local(first).succeeds();
    let mode = fs::metadata(world.path("ops-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads a secret");
    let serve = world.seawall("serve registry --listen 127.0.0.1:0 --tokens");
    let registry = Registry::start_by(serve, &world);
    let run = |token: &str, args: &str| registry.client(&world, args).args(["--token-file", token]);
    let made = run(
        "ops-token",
        "token create ci --role publisher --apps team/* --expires 90d --output ci-token --json",
    );
    let made = made.succeeds().json();
    assert_eq!(made["applications"][0], "team/*");
    assert!(made.get("secret").is_none(), "the file has it");

    registry.client(&world, "push team/shop:1 --machine a=disk.raw").exits_with(7);
    run("ci-token", "push team/shop:1 --machine a=disk.raw").succeeds();
    run("ci-token", "pull team/shop:1 --into host").succeeds();
    same_bytes(world.path("host/a/disk0.raw"), world.path("disk.raw"));
    let denied = run("ci-token", "push shop:1 --machine a=disk.raw").exits_with(7);
    denied.says("token `ci` is not for application shop");
    for whole in ["gc", "fsck", "token list", "quota team/shop --releases 9", "audit"] {
        run("ci-token", whole).exits_with(7);
    }
    let log = run("ci-token", "audit team/shop --json").succeeds().json();
    assert_eq!(log["entries"][0]["actor"], "ci");

    run("ops-token", "token revoke ci").succeeds();
    run("ci-token", "list").exits_with(7);
    let list = run("ops-token", "token list --json").succeeds().json();
    assert!(list["tokens"][0]["revokedAtSecs"].is_u64(), "{list}");
    // Its name is never used again, and a file that is there is not overwritten.
    run("ops-token", "token create ci --role reader").exits_with(4);
    let onto = run("ops-token", "token create more --role reader --output ops-token").ends();
    assert!(!onto.explains().status.success());
    let log = run("ops-token", "audit --action token --json").succeeds().json();
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 3, "two were made and one was revoked: {log}");
    assert!(!log.to_string().contains("swt_"));
}

/// A secret that is printed stands alone on standard output, for a script to keep.
#[test]
fn the_secret_alone_is_printed() {
    let world = World::new();
    let done = world.local("token create --role reader").succeeds();
    let secret = &done.stdout;
    assert!(secret.trim().len() == 68 && secret.starts_with("swt_"), "{secret}");
    assert_eq!(secret.lines().count(), 1);
    let told = &done.stderr;
    assert!(told.contains("reader-2") && told.contains("shown only now"), "{told}");
    for (args, status) in [
        ("token create --role reader --expires 0d", 2),
        ("token create --role reader --expires 2001-01-01", 2),
        ("token create --role reader --apps a//b", 2),
        ("token create a/b --role reader", 2),
        ("token create", 2),
        ("token revoke nobody", 3),
    ] {
        world.local(args).exits_with(status);
    }
}
