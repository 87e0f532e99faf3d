//! OVF packages: packages from other tools are pushed, and these tools read pulled packages.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use seawall_tests::{MIB, Noise, World, b3sum, binary, holds_bytes, raw, same_bytes, tool};
use serde_json::Value;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- made by hand -->\n<Envelope \
    xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
    xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
    xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\">\n";
const STREAM: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// Returns a descriptor of machines with one disk each: (machine, file, capacity).
pub(crate) fn descriptor(machines: &[(&str, &str, u64)]) -> String {
    let (mut files, mut disks, mut systems) = (String::new(), String::new(), String::new());
    let mut order = String::new();
    for (at, (name, file, capacity)) in machines.iter().enumerate() {
        writeln!(files, "<File ovf:id=\"f{at}\" ovf:href=\"{file}\"/>").unwrap();
        writeln!(
            disks,
            "<Disk ovf:diskId=\"root{at}\" ovf:fileRef=\"f{at}\" ovf:capacity=\"{capacity}\" \
             ovf:format=\"{STREAM}\"/>"
        )
        .unwrap();
        writeln!(order, "<Item ovf:id=\"{name}\" ovf:order=\"{}\"/>", at + 1).unwrap();
        let item = |instance: usize, kind: u32, rest: &str| {
            format!(
                "<Item>{rest}<rasd:InstanceID>{instance}</rasd:InstanceID>\
                 <rasd:ResourceType>{kind}</rasd:ResourceType></Item>\n"
            )
        };
        let quantity = |count: u32| format!("<rasd:VirtualQuantity>{count}</rasd:VirtualQuantity>");
        let host = format!("<rasd:HostResource>ovf:/disk/root{at}</rasd:HostResource>");
        write!(
            systems,
            "<VirtualSystem ovf:id=\"{name}\"><Info>x</Info><VirtualHardwareSection>\
             <Info>x</Info>\n{}{}{}{}</VirtualHardwareSection></VirtualSystem>\n",
            item(1, 3, &quantity(2)),
            item(2, 4, &quantity(768)),
            item(3, 17, &host),
            item(4, 15, "<rasd:ElementName>The CD drive</rasd:ElementName>"),
        )
        .unwrap();
    }
    let content = if machines.len() == 1 {
        systems
    } else {
        format!(
            "<VirtualSystemCollection ovf:id=\"shop\"><Info>x</Info><StartupSection><Info>x</Info>\
             {order}</StartupSection>{systems}</VirtualSystemCollection>"
        )
    };
    format!(
        "{HEAD}<References>{files}</References><DiskSection><Info>x</Info>{disks}</DiskSection>\
         {content}</Envelope>\n"
    )
}

/// Creates `name`.ova as VMware's tools do, from machines with raw disks `machine`.raw.
fn ova(world: &World, name: &str, machines: &[&str]) {
    let folder = world.path(format!("{name}-parts"));
    fs::create_dir_all(&folder).unwrap();
    let mut described = Vec::new();
    let files: Vec<_> = machines.iter().map(|machine| format!("{machine}-disk1.vmdk")).collect();
    for (machine, file) in machines.iter().zip(&files) {
        let from = world.path(format!("{machine}.raw"));
        stream_optimized(&from, &folder.join(file));
        described.push((*machine, file.as_str(), fs::metadata(&from).unwrap().len()));
    }
    fs::write(folder.join(format!("{name}.ovf")), descriptor(&described)).unwrap();
    manifest(&folder, name, &files);
    let mut args = vec!["-C".to_owned(), folder.display().to_string()];
    args.extend(["--format=ustar", "-cf"].map(str::to_owned));
    args.push(world.path(format!("{name}.ova")).display().to_string());
    args.extend([format!("{name}.ovf"), format!("{name}.mf")]);
    args.extend(files);
    tool("tar", args);
}

fn stream_optimized(from: &Path, to: &Path) {
    let (from, to) = (from.as_os_str(), to.as_os_str());
    let convert = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
    tool("qemu-img", convert.iter().map(AsRef::as_ref).chain([from, to]));
}

fn manifest(folder: &Path, name: &str, files: &[String]) {
    let mut text = String::new();
    for file in [format!("{name}.ovf")].iter().chain(files) {
        writeln!(text, "SHA256({file})= {}", sha256(&folder.join(file))).unwrap();
    }
    fs::write(folder.join(format!("{name}.mf")), text).unwrap();
}

fn sha256(path: &Path) -> String {
    let line = tool("sha256sum", [path]);
    line.split_whitespace().next().unwrap().to_owned()
}

/// Unpacks an archive. Returns its names in order.
fn unpack(ova: &Path, into: &Path) -> Vec<String> {
    fs::create_dir_all(into).unwrap();
    tool("tar", ["-C".as_ref(), into.as_os_str(), "-xf".as_ref(), ova.as_os_str()]);
    let listed = tool("tar", ["-tf".as_ref(), ova.as_os_str()]);
    listed.lines().map(str::to_owned).collect()
}

/// Asserts that every line of the manifest is right, and that the manifest covers every other file.
#[track_caller]
fn assert_manifest(folder: &Path, name: &str) {
    let text = fs::read_to_string(folder.join(format!("{name}.mf"))).unwrap();
    for line in text.lines() {
        let (file, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        assert_eq!(sha256(&folder.join(file)), digest, "{file}");
    }
    assert_eq!(text.lines().count() + 1, fs::read_dir(folder).unwrap().count(), "{text}");
}

#[track_caller]
fn assert_same_disk(vmdk: &Path, raw: &Path) {
    let (vmdk, raw) = (vmdk.as_os_str(), raw.as_os_str());
    let compare = ["compare", "-f", "vmdk", "-F", "raw"].map(AsRef::as_ref);
    tool("qemu-img", compare.into_iter().chain([vmdk, raw]));
    let described = tool("qemu-img", ["info".as_ref(), vmdk]);
    assert!(described.contains("create type: streamOptimized"), "{described}");
}

fn shop(world: &World) {
    let disk = |name: &str, len| {
        let bytes = Noise::new(name).bytes(3 * MIB);
        raw(&world.path(format!("{name}.raw")), len, &[(MIB, bytes.clone()), (20 * MIB, bytes)]);
    };
    disk("web", 64 * MIB);
    disk("db", 40 * MIB);
}

pub(crate) fn lines(report: &Value) -> Vec<String> {
    let unmapped = report["unmapped"].as_array().unwrap();
    unmapped.iter().map(|line| format!("{} {}", line["section"], line["what"])).collect()
}

#[test]
fn an_ova_is_pushed_as_it_is_and_its_disks_come_back() {
    let world = World::new();
    shop(&world);
    ova(&world, "shop", &["db", "web"]);

    let pushed = world.local("push team/shop:1.0.0 shop.ova --json").succeeds().json();

    let reported = lines(&pushed);
    assert!(reported.iter().any(|line| line.contains("The CD drive")), "{reported:?}");
    world.pull("team/shop:1.0.0", "host");
    same_bytes(world.path("host/web/root1.raw"), world.path("web.raw"));
    same_bytes(world.path("host/db/root0.raw"), world.path("db.raw"));
    let shown = world.local("show team/shop:1.0.0 --json").succeeds().json();
    let machines = shown["release"]["machines"].as_array().unwrap();
    let orders: Vec<_> = machines.iter().map(|machine| machine["startOrder"].as_u64()).collect();
    assert_eq!(orders, [Some(1), Some(2)]);
    assert_eq!(machines[0]["memoryMib"], 768);
    world.local("verify team/shop:1.0.0").succeeds();

    // Pushing the package again gives the same release, and the output lists what is not mapped.
    let again = world.local("push team/shop:1.0.0 shop.ova").succeeds();
    assert!(again.stdout.contains("was there already"), "{again}");
    assert!(again.stdout.contains("not mapped: VirtualHardwareSection of web"), "{again}");
}

/// Packages of VirtualBox and of Microsoft's tools have disks of these formats.
#[test]
fn a_package_with_vhd_and_vhdx_disks_is_pushed_as_one_of_vmdks_is() {
    let world = World::new();
    shop(&world);
    let parts = world.path("parts");
    fs::create_dir_all(&parts).unwrap();
    let machines = [("db", "db.vhd", 40 * MIB), ("web", "web.vhdx", 64 * MIB)];
    for (machine, file, _) in machines {
        let format: &[&str] = match file.split_once('.') {
            Some((_, "vhd")) => &["vpc", "-o", "force_size=on"],
            _ => &["vhdx"],
        };
        let (from, to) = (world.path(format!("{machine}.raw")), parts.join(file));
        let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
        tool("qemu-img", ["convert", "-f", "raw", "-O"].iter().chain(format).chain(&paths));
    }
    let text =
        descriptor(&machines).replacen(STREAM, "http://go.microsoft.com/fwlink/?LinkId=137171", 1);
    fs::write(parts.join("shop.ovf"), text).unwrap();
    manifest(&parts, "shop", &["db.vhd".to_owned(), "web.vhdx".to_owned()]);
    let archive = world.path("shop.ova");
    let args = ["-C", parts.to_str().unwrap(), "-cf", archive.to_str().unwrap()];
    let files = ["--format=ustar", "shop.ovf", "shop.mf", "db.vhd", "web.vhdx"];
    tool("tar", args.iter().chain(&files));

    for (version, package) in [("1.0.0", "parts/shop.ovf"), ("2.0.0", "shop.ova")] {
        world.local(&format!("push team/shop:{version} {package}")).succeeds();
        world.pull(&format!("team/shop:{version}"), version);
        same_bytes(world.path(format!("{version}/web/root1.raw")), world.path("web.raw"));
        same_bytes(world.path(format!("{version}/db/root0.raw")), world.path("db.raw"));
    }
}

#[test]
fn a_package_that_is_not_what_its_manifest_says_is_not_published() {
    let world = World::new();
    shop(&world);
    ova(&world, "shop", &["web"]);
    let parts = world.path("shop-parts");
    let mut vmdk = fs::read(parts.join("web-disk1.vmdk")).unwrap();
    // In the image's descriptor, which readers hardly check.
    let at = vmdk.windows(4).position(|word| word == b"CID=").unwrap() + 4;
    vmdk[at] = if vmdk[at] == b'1' { b'2' } else { b'1' };
    fs::write(parts.join("web-disk1.vmdk"), vmdk).unwrap();

    let run = world.local("push team/shop:1.0.0 shop-parts/shop.ovf").exits_with(5);
    run.explains().says("`web-disk1.vmdk` does not match the manifest: its SHA256 is");
    assert!(world.versions("team/shop").is_empty());
    fs::remove_file(parts.join("shop.mf")).unwrap();
    let pushed = world.local("push team/shop:1.0.0 shop-parts/shop.ovf --json").succeeds().json();
    let reported = lines(&pushed);
    assert!(reported.iter().any(|line| line.contains("the manifest")), "{reported:?}");
}

#[test]
fn hostile_packages_are_refused_and_nothing_is_published() {
    let world = World::new();
    shop(&world);
    fs::write(world.path("secret"), "secret").unwrap();
    for (href, says) in
        [("../secret", "leads out of the package"), ("gone.vmdk", "is not in the package")]
    {
        fs::create_dir_all(world.path("in")).unwrap();
        fs::write(world.path("in/x.ovf"), descriptor(&[("web", href, MIB)])).unwrap();
        let run = world.local("push team/shop:1.0.0 in/x.ovf").ends();
        assert!(!run.status.success());
        run.explains().says(says);
    }
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let text = descriptor(&[("web", "x", MIB)]).replace("<Envelope", &format!("{bomb}<Envelope"));
    fs::write(world.path("in/x.ovf"), text).unwrap();
    world.local("push team/shop:1.0.0 in/x.ovf").exits_with(2).explains();
    tool(
        "sh",
        ["-c", "cd \"$0\" && tar -P -cf x.ova ../secret", &world.path("in").to_string_lossy()],
    );
    world.local("push team/shop:1.0.0 in/x.ova").exits_with(2).explains().says("leads out of");
    fs::write(world.path("in/x.ova"), Noise::new("tar").bytes(MIB)).unwrap();
    world.local("push team/shop:1.0.0 in/x.ova").exits_with(2).explains().says("is not an OVA");
    assert!(world.versions("team/shop").is_empty());
}

#[test]
fn a_package_that_was_pushed_is_pulled_with_its_own_descriptor() {
    let world = World::new();
    shop(&world);
    ova(&world, "shop", &["db", "web"]);
    world.local("push team/shop:1.0.0 shop.ova").succeeds();

    let made = world.local("pull team/shop:1.0.0 --as ova --into out --json").succeeds().json();

    assert_eq!(made["packages"][0]["isOriginal"], true, "{made}");
    let names = unpack(&world.path("out/shop.ova"), &world.path("seen"));
    assert_eq!(names, ["shop.ovf", "shop.mf", "db-disk1.vmdk", "web-disk1.vmdk"]);
    same_bytes(world.path("seen/shop.ovf"), world.path("shop-parts/shop.ovf"));
    assert_manifest(&world.path("seen"), "shop");
    assert_same_disk(&world.path("seen/db-disk1.vmdk"), &world.path("db.raw"));
    assert_same_disk(&world.path("seen/web-disk1.vmdk"), &world.path("web.raw"));
    // The same package by any way: nothing specific to a registry is in it.
    world.local("push team/shop:2.0.0 out/shop.ova").succeeds();
    world.local("pull team/shop:2.0.0 --as ova --into again").succeeds();
    same_bytes(world.path("again/shop.ova"), world.path("out/shop.ova"));
    assert_eq!(world.disks("team/shop:1.0.0"), world.disks("team/shop:2.0.0"));
    world.local("pull team/shop:1.0.0 --as ova --into out").exits_with(4).explains().says("exists");
}

#[test]
fn a_release_from_disks_becomes_a_package_that_reads_back_as_it_was() {
    let world = World::new();
    shop(&world);
    world.push("team/shop:1.0.0", &["web=root:web.raw", "db=root:db.raw,log:web.raw"]);

    let made = world.local("pull team/shop:1.0.0 --as ovf --into out --json").succeeds().json();

    assert_eq!(made["packages"][0]["isOriginal"], false);
    assert_manifest(&world.path("out"), "shop");
    assert_same_disk(&world.path("out/shop-db-root.vmdk"), &world.path("db.raw"));
    world.local("push team/copy:1.0.0 out/shop.ovf").succeeds();
    assert_eq!(world.disks("team/copy:1.0.0"), world.disks("team/shop:1.0.0"));
    let machines = |name: &str| {
        let shown = world.local(&format!("show {name} --json")).succeeds().json();
        let mut machines = shown["release"]["machines"].as_array().unwrap().clone();
        for machine in &mut machines {
            machine.as_object_mut().unwrap().remove("descriptor");
        }
        machines
    };
    assert_eq!(machines("team/copy:1.0.0"), machines("team/shop:1.0.0"));

    // One package per machine, for consumers that accept only one machine.
    world.local("pull team/shop:1.0.0 --as ova --machine web --machine db --into each").succeeds();
    let names = unpack(&world.path("each/db.ova"), &world.path("db-seen"));
    assert_eq!(names, ["db.ovf", "db.mf", "db-root.vmdk", "db-log.vmdk"]);
    assert_manifest(&world.path("db-seen"), "db");
    let text = fs::read_to_string(world.path("db-seen/db.ovf")).unwrap();
    assert!(!text.contains("VirtualSystemCollection"), "{text}");
    unpack(&world.path("each/web.ova"), &world.path("web-seen"));
    assert_same_disk(&world.path("web-seen/web-root.vmdk"), &world.path("web.raw"));
}

#[test]
fn a_disk_is_exported_in_any_format_to_a_file_or_a_pipe() {
    let world = World::new();
    shop(&world);
    world.push("team/shop:1.0.0", &["web=root:web.raw"]);
    for format in ["raw", "qcow2", "qcow2-zstd", "vmdk", "vmdk-stream"] {
        let file = format!("out.{format}");
        let args = format!("export team/shop:1.0.0/web/root --format {format} -o {file} --json");
        let report = world.local(&args).succeeds().json();
        assert_eq!(report["content"], b3sum(world.path("web.raw")).as_str(), "{report}");
        let kind = format.split('-').next().unwrap();
        let file = world.path(&file);
        let files = [file.as_os_str(), world.path("web.raw").into_os_string().as_os_str()]
            .map(|path| path.to_owned());
        let compare = ["compare", "-f", kind, "-F", "raw"].map(std::ffi::OsString::from);
        tool("qemu-img", compare.into_iter().chain(files));
        if format != "qcow2-zstd" {
            let pipe = world.path("pipe");
            tool(
                "sh",
                [
                    "-c",
                    "\"$0\" export team/shop:1.0.0/web/root --format $1 -o - --registry \"$2\" \
                 --state \"$3\" > \"$4\"",
                    &binary().to_string_lossy(),
                    format,
                    &world.path("registry").to_string_lossy(),
                    &world.path("state").to_string_lossy(),
                    &pipe.to_string_lossy(),
                ],
            );
            assert!(holds_bytes(&pipe, &file), "{format}: a pipe gives the same file");
        }
    }
    let run = world.local("export team/shop:1.0.0/web/root -o out.raw").exits_with(4);
    run.explains().says("out.raw exists");
    world.local("export team/shop:1.0.0/web/data -o x").exits_with(3).says("it has root");
    world.local("export team/shop:1.0.0/web -o x").exits_with(2).says("does not name a disk");
    assert!(!world.path("x").exists());
}
