use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<ReleaseSpec, SpecError> {
    file::parse(text, Path::new("/srv/build/application.toml"))
}

/// An error and its causes, as the command line prints them.
fn told(error: &SpecError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}\n{error}");
        cause = error.source();
    }
    text
}

#[test]
fn the_documented_example_is_read_as_the_page_says() {
    let page = include_str!("../../../docs/application-toml.md");
    let example = page.split("```toml\n").nth(2).unwrap().split("\n```").next().unwrap();
    let spec = parse(example).unwrap();

    let names: Vec<_> = spec.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["db", "web"], "machines are in the order of a release document");
    let web = &spec.machines[1];
    assert_eq!((web.cpus, web.memory_mib, web.start_order), (4, 2048, 2));
    assert_eq!(web.firmware, Firmware::Uefi);
    let disks: Vec<_> = web
        .disks
        .iter()
        .map(|disk| (disk.name.as_str(), disk.bus, disk.path.to_str().unwrap(), disk.format))
        .collect();
    assert_eq!(
        disks,
        [
            ("root", Bus::Virtio, "/srv/build/disks/web.qcow2", Some(Format::Qcow2)),
            ("static", Bus::VirtioScsi, "/var/lib/images/static.raw", None),
        ]
    );
    assert_eq!(spec.networks[0].name.as_str(), "backend");
    assert_eq!(spec.parameters["hostname"].default.as_deref(), Some("shop"));
}

#[test]
fn omitted_keys_have_the_documented_defaults() {
    let spec = parse("[machines.web]\ndisks = [{ path = 'a.raw' }, { path = 'b.raw' }]").unwrap();
    let web = &spec.machines[0];
    assert_eq!((web.cpus, web.memory_mib, web.start_order), (1, 1024, 0));
    assert_eq!((web.firmware, web.architecture), (Firmware::Bios, host_architecture().unwrap()));
    let names: Vec<_> = web.disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!(names, ["disk0", "disk1"]);
}

#[test]
fn a_mistake_is_shown_with_its_line_or_key() {
    let disks = "disks = [{ path = 'a' }]";
    let cases = [
        ("".to_owned(), "missing field `machines`"),
        ("[machines]".into(), "a release has at least one machine"),
        ("[machines.web]\ncpu = 2".into(), "line 2"),
        ("[machines.web]\ncpu = 2".into(), "unknown field `cpu`"),
        ("[machines.Web]\ndisks = []".into(), "`Web` is not a machine name"),
        ("[machines.web]\ndisks = []".into(), "at least one disk"),
        ("[machines.web]\ndisks = [{}]".into(), "missing field `path`"),
        (format!("[machines.web]\nmemory = '2 GB'\n{disks}"), "512 MiB"),
        (format!("[machines.web]\nmemory = 0\n{disks}"), "memoryMib"),
        (format!("[machines.web]\ncpus = 0\n{disks}"), "cpus"),
        (format!("[machines.web]\nfirmware = 'efi'\n{disks}"), "unknown variant `efi`"),
        ("[machines.web]\ndisks = [{ path = 'a', bus = 'usb' }]".into(), "unknown variant `usb`"),
        (
            "[machines.web]\ndisks = [{ path = 'a', format = 'qed' }]".into(),
            "unknown image format \"qed\"",
        ),
        (
            "[machines.web]\ndisks = [{ path = 'a', name = 'x' }, { path = 'b', name = 'x' }]"
                .into(),
            "`x` is listed twice",
        ),
        (
            format!("[machines.web]\nnetwork-cards = [{{ network = 'lan' }}]\n{disks}"),
            "the release has no network `lan`",
        ),
        ("machines = 3".into(), "line 1"),
        ("[machines.web".into(), "line 1"),
    ];
    for (text, expect) in cases {
        let error = parse(&text).unwrap_err();
        assert!(told(&error).contains(expect), "{text}\n—\n{}", told(&error));
        assert_eq!(error.kind(), crate::error::ErrorKind::InvalidInput);
        assert!(error.remedy().is_some(), "{text}");
    }
}

#[test]
fn a_file_that_is_too_long_or_missing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("application.toml");
    let error = file::read(&path).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::NotFound);
    std::fs::write(&path, " ".repeat(usize::try_from(file::FILE_LEN_MAX).unwrap() + 1)).unwrap();
    assert!(matches!(file::read(&path), Err(SpecError::TooLong { .. })));
}

#[test]
fn a_flag_names_a_machine_and_its_disks() {
    let flag = |text: &str| text.parse::<flags::MachineFlag>();
    let cases: [(&str, &[(&str, &str)]); 12] = [
        ("web=disk.raw", &[("disk0", "disk.raw")]),
        ("web=a.raw,b.qcow2", &[("disk0", "a.raw"), ("disk1", "b.qcow2")]),
        ("web=root:a.raw,data:/b=c.raw", &[("root", "a.raw"), ("data", "/b=c.raw")]),
        ("web=./a:b.raw", &[("disk0", "./a:b.raw")]),
        ("web=a.raw,data:b.raw", &[("disk0", "a.raw"), ("data", "b.raw")]),
        ("web=root:raw:a.img", &[("root", "raw|a.img")]),
        ("web=raw:a.img,data:qcow2:b", &[("disk0", "raw|a.img"), ("data", "qcow2|b")]),
        ("web=raw:raw:a.img", &[("raw", "raw|a.img")]),
        ("web=vhd:vmdk:a", &[("vhd", "vmdk|a")]),
        ("web=root:a:b.img", &[("root", "a:b.img")]),
        ("web=./raw:a.img", &[("disk0", "./raw:a.img")]),
        ("web=root:./raw:a.img", &[("root", "./raw:a.img")]),
    ];
    for (text, expect) in cases {
        let flag = flag(text).unwrap();
        assert_eq!(flag.name.as_str(), "web");
        let shown = |disk: &flags::FlaggedDisk| {
            let format = disk.format.map_or(String::new(), |format| format!("{format}|"));
            (disk.name.to_string(), format!("{format}{}", disk.path.display()))
        };
        let disks: Vec<_> = flag.disks.iter().map(shown).collect();
        let expect: Vec<_> =
            expect.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        assert_eq!(disks, expect, "{text}");
    }
    for text in ["", "web", "web=", "web=a,", "=a", "Web=a", "web=root:"] {
        assert!(matches!(flag(text), Err(SpecError::Flag { .. })), "{text:?}");
    }
}

#[test]
fn machines_given_by_flags_are_sorted_and_named_once() {
    let flags = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let spec = flags::describe(flags(&["web=a", "db=b"])).unwrap();
    let names: Vec<_> = spec.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["db", "web"]);

    let error = flags::describe(flags(&["web=a", "web=b"])).unwrap_err();
    assert!(told(&error).contains("`web` is listed twice"));
    let error = flags::describe(flags(&["web=x:a,x:b"])).unwrap_err();
    assert!(told(&error).contains("`x` is listed twice"));
}

#[test]
fn a_spec_becomes_a_release_with_the_disks_it_is_given() {
    let spec = flags::describe(vec!["web=a,b".parse().unwrap()]).unwrap();
    let content = |machine: &MachineName, disk: &DiskSpec| {
        let text = format!("{machine}/{}", disk.name);
        Ok::<_, std::convert::Infallible>(DiskContent {
            len: DiskLen::new(4096).unwrap(),
            content: ContentDigest::of(text.as_bytes()),
            index: IndexDigest::of(text.as_bytes()),
        })
    };
    let application = "team/web".parse().unwrap();
    let document = spec.into_document(application, "1.0".parse().unwrap(), content).unwrap();
    let release = Release::new(document).unwrap();
    let contents: Vec<_> = release.disks().map(|(_, disk)| disk.content).collect();
    let expect = [b"web/disk0", b"web/disk1"].map(|text| ContentDigest::of(text));
    assert_eq!(contents, expect);
}
