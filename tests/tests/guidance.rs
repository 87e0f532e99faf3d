//! Next steps in errors: the likely name, the existing names, exact commands.

use std::fs;

use seawall_tests::{MIB, Noise, World, raw};

/// Creates a world with `shop:1.0.0` and `shop:1.1.0`, the first as `stable`.
fn shop() -> World {
    let world = World::new();
    for version in ["1.0.0", "1.1.0"] {
        let file = format!("{version}.raw");
        raw(&world.path(&file), 2 * MIB, &[(0, Noise::new(version).bytes(MIB))]);
        world.push(&format!("shop:{version}"), &[&format!("web=root:{file}")]);
    }
    world.local("promote shop:1.0.0 stable").succeeds();
    world
}

#[test]
fn a_name_that_is_not_there_is_answered_by_the_one_that_was_meant() {
    let world = shop();
    world.local("pin shop:1.0.0 --name audit --reason books").succeeds();
    for (line, code, says) in [
        ("show shop:stabel", 3, "did you mean `shop:stable`?"),
        ("show shop:stabel", 3, "channels: stable"),
        ("show shop:1.0.1", 3, "versions: 1.1.0, 1.0.0"),
        ("pull shop:v1.0.0 --into x", 3, "did you mean `shop:1.0.0`?"),
        ("push shop:v1.2.0 --machine web=1.0.0.raw", 2, "begins with a digit: shop:1.2.0"),
        ("list shpo", 3, "did you mean `shop`?"),
        ("channels shop stabel", 3, "did you mean `stable`?"),
        ("unpin shop:1.0.0 --name audti", 3, "did you mean `audit`?"),
        ("hosts --forget rack9", 3, "there are no hosts"),
        ("list shop --columns digets", 2, "did you mean `digest`?"),
        ("verify nodir", 3, "is neither an existing directory"),
        ("export shop:1.0.0/wbe/root -o x.raw", 3, "did you mean `web`?"),
        ("export shop:1.0.0/web/rot -o x.raw", 3, "did you mean `root`?"),
        ("pull shop:1.0.0/wbe --into x", 3, "did you mean `web`?"),
        ("pull shop:1.0.0 --machine wbe --into x", 3, "machines: web"),
        ("hosts shpo", 3, "did you mean `shop`?"),
        ("retention set shpo --keep-last 3", 3, "did you mean `shop`?"),
        ("unpin shop:1.1.0 --name audit", 3, "shop:1.1.0 has no pin `audit`"),
        ("unpin shop:1.1.0 --name audit", 3, "`seawall show shop:1.1.0`"),
        ("webhooks add http://h.example --events publishing --secret-file x", 2, "`publish`"),
        ("lsit", 2, "list"),
        ("list --jsno", 2, "--json"),
    ] {
        world.local(line).exits_with(code).says(says);
    }
    let events = "webhooks add http://h.example --events publishing --secret-file x";
    let said = world.local(events).exits_with(2).stderr;
    assert!(!said.contains("policy") && !said.contains("rebuild"), "only what is taken\n{said}");
}

#[test]
fn a_refused_deletion_names_the_command_that_lets_go() {
    let world = shop();
    world.local("pin shop:1.1.0 --name audit --reason books").succeeds();
    for line in ["rm shop:1.1.0", "rm shop:1.1.0 --dry-run"] {
        let said = world.local(line).exits_with(4).stderr;
        assert!(said.contains("`seawall unpin shop:1.1.0 --name audit`"), "{said}");
        assert!(!said.contains("promote") && !said.contains("--forget"), "{said}");
    }
    let said = world.local("rm shop:1.0.0").exits_with(4).stderr;
    assert!(said.contains("`seawall promote shop:VERSION stable`"), "{said}");
    assert!(!said.contains("unpin"), "{said}");
}

#[test]
fn a_deleted_release_says_when_as_a_date() {
    let world = shop();
    world.local("rm shop:1.1.0").succeeds();
    let said = world.local("show shop:1.1.0").exits_with(3).stderr;
    assert!(!said.contains("Unix") && said.contains('T') && said.contains("Z"), "{said}");
}

#[test]
fn the_first_digits_of_a_digest_are_enough_wherever_one_is_typed() {
    let world = shop();
    let shown = world.local("show shop:1.0.0 --json").succeeds().json();
    let digest = shown["digest"].as_str().unwrap().strip_prefix("blake3:").unwrap();
    let short = &digest[..8];
    for line in [
        format!("show shop@blake3:{short}"),
        format!("show shop@{short}"),
        format!("pull shop@blake3:{short} --into host"),
        format!("export shop@{short}/web/root -o disk.qcow2"),
        format!("diff shop@{short} shop:1.1.0"),
        format!("promote shop@{short} beta"),
        format!("verify shop@{short}"),
        format!("push shop:1.2.0 --machine web=root:1.0.0.raw --parent blake3:{short}"),
    ] {
        world.local(&line).succeeds();
    }
    world.local(&format!("show shop@{}", &digest[..7])).exits_with(2).says("8 digits or more");
    world.local("show shop@00000000").exits_with(3).says("`seawall list shop`");
}

#[test]
fn a_push_that_names_nothing_reads_the_application_toml_or_says_what_to_name() {
    let world = shop();
    let said = world.local("push shop:2.0.0").exits_with(2).stderr;
    for way in ["--machine web=disk.qcow2", "appliance.ova", "--file FILE"] {
        assert!(said.contains(way), "{way}\n{said}");
    }
    let toml = "[machines.web]\nmemory = \"4G\"\ndisks = [\"1.0.0.raw\"]\n";
    fs::write(world.path("application.toml"), toml).unwrap();
    world.local("push shop:2.0.0").succeeds();
    let shown = world.local("show shop:2.0.0 --json").succeeds().json();
    assert_eq!(shown["release"]["machines"][0]["memoryMib"], 4096, "{shown}");
    fs::write(world.path("application.toml"), toml.replace("memory", "memroy")).unwrap();
    world.local("push shop:2.0.1").exits_with(2).says("did you mean `memory`?");
}

#[test]
fn an_export_is_in_the_format_that_its_name_says() {
    let world = shop();
    for (name, magic) in [("web.vmdk", &b"KDMV"[..]), ("web.qcow2", b"QFI\xfb")] {
        world.local(&format!("export shop:1.0.0/web/root -o {name}")).succeeds();
        assert!(fs::read(world.path(name)).unwrap().starts_with(magic), "{name}");
    }
    let refused = "export shop:1.0.0/web/root -o raw.vmdk --format raw";
    world.local(refused).exits_with(2).explains().says("raw.raw");
    world.local("export shop:1.0.0/web/root -o web.xyz").exits_with(2).says("--format");
    assert!(!world.path("raw.vmdk").exists() && !world.path("web.xyz").exists());
}

#[test]
fn a_package_is_inspected_as_one() {
    let world = shop();
    world.local("pull shop:1.0.0 --as ova --into packed").succeeds();
    let shown = world.seawall("inspect packed/shop.ova").succeeds().stdout;
    assert!(shown.contains("OVA package of 1 machine") && shown.contains("web"), "{shown}");
    let json = world.seawall("inspect packed/shop.ova --json").succeeds().json();
    assert_eq!(json["machines"][0]["disks"][0]["disk"], "root", "{json}");
    assert_eq!(json["machines"][0]["disks"][0]["format"], "vmdk", "{json}");
    // `push` accepts a folder, or an archive of another name, as a package; so does `inspect`.
    world.local("pull shop:1.0.0 --as ovf --into loose").succeeds();
    fs::copy(world.path("packed/shop.ova"), world.path("download")).unwrap();
    for path in ["loose", "download"] {
        world.seawall(&format!("inspect {path}")).succeeds().prints("package of 1 machine");
    }
}

#[test]
fn inspecting_a_package_fails_where_a_push_would() {
    let world = shop();
    world.local("pull shop:1.0.0 --as ovf --into loose").succeeds();
    let folder = world.path("loose");
    let disk = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let disk = disk.into_iter().find(|path| path.extension().is_some_and(|it| it == "vmdk"));
    fs::write(disk.unwrap(), "<html>404 Not Found</html>").unwrap();
    fs::remove_file(folder.join("shop.mf")).unwrap();
    let run = world.seawall("inspect loose");
    run.exits_with(2).says("is not a vmdk image, as the descriptor says");
}

#[test]
fn lists_have_forms_for_programs() {
    let world = shop();
    let names = world.local("list shop --format names").succeeds().stdout;
    assert_eq!(names, "1.1.0\n1.0.0\n");
    let csv = world.local("list shop --format csv --columns version,disks").succeeds().stdout;
    assert_eq!(csv, "version,disks\n1.1.0,2097152\n1.0.0,2097152\n");
    let tsv = world.local("channels shop --format tsv --columns channel,version").succeeds();
    assert_eq!(tsv.stdout, "channel\tversion\nstable\t1.0.0\n");
    assert!(world.local("list shop --format json").succeeds().json().is_object());
}

#[test]
fn seawall_alone_prints_the_help_and_succeeds() {
    let world = World::new();
    let done = world.seawall("").succeeds();
    for text in ["Run a registry:", "Global options:", "Examples:", "seawall push"] {
        assert!(done.stdout.contains(text), "{text}\n{done}");
    }
}

#[test]
fn offline_commands_say_whose_directory_they_need() {
    let world = shop();
    for command in ["drill", "recover"] {
        let run = world.seawall(&format!("{command} nodir"));
        run.exits_with(3).explains().says("there is no directory nodir");
        fs::create_dir_all(world.path("empty")).unwrap();
        world.seawall(&format!("{command} empty")).exits_with(3).says("holds no registry");
    }
    let _serving = world.serve();
    world.seawall("recover registry").exits_with(6).says("`systemctl stop seawall`");
}

#[test]
fn a_folder_that_is_none_is_called_what_it_is() {
    let world = shop();
    world.local("pull shop:1.0.0 --into host").succeeds();
    fs::create_dir(world.path("empty")).unwrap();
    for command in ["patch", "status", "report", "describe --as qemu"] {
        world.local(&format!("{command} nodir")).exits_with(3).says("there is no directory nodir");
        world.local(&format!("{command} 1.0.0.raw")).exits_with(2).says("1.0.0.raw is a file");
        world.local(&format!("{command} empty")).exits_with(3).says("holds no pulled release");
    }
    for (line, code, says) in [
        ("verify 1.0.0.raw", 2, "`seawall inspect 1.0.0.raw --digest`"),
        ("diff nodir", 3, "`nodir` is neither an existing directory"),
        ("diff nodir 1.0.0", 3, "`nodir` is neither an existing directory"),
        ("diff shop:1.0.0", 2, "there is nothing to compare"),
        ("pull shop:1.0.0 --into new --locked", 3, "there is no lockfile new/seawall.lock"),
        ("pull shop:1.1.0 --into host", 4, "host holds shop:1.0.0"),
        ("pull shop:1.0.0 --into host --format qcow2", 4, "in another format"),
        ("list --registry 1.0.0.raw", 2, "`1.0.0.raw` is a file, not a registry"),
        ("pin --lockfile nofile --reason x", 3, "cannot read nofile"),
        ("drill registry --into host", 4, "is not an empty directory"),
        ("export shop:1.0.0/web/root -o nodir/x.raw", 3, "make the folder nodir first"),
        ("inspect 1.1.0.ra", 3, "check the path"),
    ] {
        world.local(line).exits_with(code).explains().says(says);
    }
}

#[test]
fn a_release_that_a_rollback_may_need_names_no_command_that_would_not_help() {
    let world = shop();
    world.local("promote shop:1.1.0 stable").succeeds();
    let said = world.local("rm shop:1.0.0").exits_with(4).stderr;
    assert!(said.contains("delete it once stable has moved on"), "{said}");
    assert!(!said.contains("retention apply"), "{said}");
}

#[test]
fn a_pull_that_finds_the_release_there_leaves_the_folder_with_its_channel() {
    let world = shop();
    world.local("pull shop:stable --into host").succeeds();
    let again = world.local("pull shop:1.0.0 --into host --json").succeeds().json();
    assert_eq!(again["follows"], "stable", "{again}");
    assert!(again.get("leftChannel").is_none(), "{again}");
    world.local("promote shop:1.1.0 stable").succeeds();
    world.local("patch host").succeeds().prints("1.0.0 is now 1.1.0");
    world.local("patch host --dry-run").succeeds().prints("nothing to do");
    world.local("patch host").succeeds().prints("1.1.0 is in");
    // A patch decides on the channel to follow, and so does a pull that names one.
    world.local("patch host --to 1.1.0").succeeds().prints("no longer follows stable");
    world.local("pull shop:stable --into host").succeeds();
    let followed = world.local("status host --json").succeeds().json();
    assert_eq!(followed["directories"][0]["channel"], "stable", "{followed}");
}

#[test]
fn a_folder_in_a_comparison_goes_by_the_version_that_it_holds() {
    let world = shop();
    world.local("pull shop:stable --into host").succeeds();
    let compared = world.local("diff host 1.1.0").succeeds().stdout;
    assert!(compared.contains("Patching from shop:1.0.0 to shop:1.1.0"), "{compared}");
}
