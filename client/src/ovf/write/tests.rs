use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use seawall_api::digest::{ContentDigest, IndexDigest};
use seawall_api::release::{Bus, Document, Firmware, Network, NetworkCard, NetworkModel, Schema};
use seawall_api::units::DiskLen;

use super::*;
use crate::ovf::describe::describe;
use crate::ovf::parse;
use crate::spec::{DiskContent, Packed};

/// Generates a text with characters that XML escapes.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9<>&\"'ä]([a-zA-Z0-9 <>&\"'\n\tä.]{0,12}[a-z<&\"])?"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?"
}

prop_compose! {
    fn disk(name: String)(
        bus in select(vec![
            Bus::Virtio, Bus::VirtioScsi, Bus::Scsi, Bus::Sata, Bus::Ide, Bus::Nvme,
        ]),
        sectors in 1..1_u64 << 30,
    ) -> Disk {
        let content = ContentDigest::of(&sectors.to_le_bytes());
        let (index, name) = (IndexDigest::of(b"index"), name.parse().unwrap());
        Disk { name, len: sectors * 512, content, index, bus }
    }
}

prop_compose! {
    fn machine(name: String)(
        disks in vec(disk("x".to_owned()), 1..20),
        models in vec(select(vec![
            NetworkModel::Virtio, NetworkModel::E1000, NetworkModel::E1000e,
            NetworkModel::Vmxnet3, NetworkModel::Rtl8139,
        ]), 0..3),
        architecture in select(vec![
            Architecture::X86_64, Architecture::I686, Architecture::Aarch64,
            Architecture::Riscv64, Architecture::Ppc64le, Architecture::S390x,
        ]),
        firmware in select(vec![Firmware::Bios, Firmware::Uefi, Firmware::UefiSecure]),
        (cpus, memory_mib, start_order) in (1..4097_u32, 1..1_u64 << 26, 0..9_u32),
        mut annotations in btree_map(
            select(vec![
                "operating-system", "description", "product", "vendor", "product-version",
                "product-full-version", "product-url", "vendor-url", "property.a.b",
            ]).prop_map(str::to_owned),
            text(), 0..9,
        ),
    ) -> Machine {
        annotations.retain(|_, text| *text != name);
        let disks = disks.into_iter().enumerate().map(|(at, disk)| Disk {
            name: format!("d{at}").parse().unwrap(), ..disk
        });
        let network_cards = models.into_iter().map(|model| NetworkCard {
            network: "net".parse().unwrap(), model,
        });
        Machine {
            name: name.parse().unwrap(),
            architecture,
            firmware,
            cpus,
            memory_mib,
            start_order,
            disks: disks.collect(),
            network_cards: network_cards.collect(),
            annotations,
            descriptor: None,
        }
    }
}

fn parameter() -> impl Strategy<Value = Parameter> {
    (text(), proptest::option::of(text()), any::<bool>())
        .prop_map(|(description, default, required)| Parameter { description, default, required })
}

prop_compose! {
    fn release()(
        names in proptest::collection::btree_set(name(), 1..4),
        parameters in btree_map("[a-zA-Z][a-zA-Z0-9.]{0,8}[a-z]", parameter(), 0..4),
        description in text(),
    )(
        machines in names.into_iter().map(machine).collect::<Vec<_>>(),
        parameters in Just(parameters),
        description in Just(description),
    ) -> Release {
        let mut machines = machines;
        if machines.len() == 1 {
            // A single machine has no start order.
            machines[0].start_order = 0;
        }
        Release::new(Document {
            schema: Schema::V1,
            application: "team/webshop".parse().unwrap(),
            version: "1.0".parse().unwrap(),
            machines,
            networks: vec![Network { name: "net".parse().unwrap(), description }],
            parameters,
            annotations: BTreeMap::new(),
        }).unwrap()
    }
}

/// Returns the document that a push of the descriptor would publish, with the disks of `release`.
fn read_back(text: &str, release: &Release) -> Document {
    let envelope = parse(text.as_bytes(), Path::new("it.ovf")).unwrap();
    let descriptor = seawall_api::release::Descriptor {
        digest: seawall_api::digest::DescriptorDigest::of(b""),
        media_type: String::new(),
    };
    let place = |_| Ok((Path::new("x").to_owned(), Packed::default()));
    let (spec, _) = describe(&envelope, &descriptor, &place).unwrap();
    let content_of = |machine: &_, disk: &crate::spec::DiskSpec| {
        let disks = &release.machine(machine).unwrap().disks;
        let found = disks.iter().find(|it| it.name == disk.name).unwrap();
        let len = DiskLen::new(disk.packed.as_ref().unwrap().capacity.unwrap()).unwrap();
        Ok::<_, std::convert::Infallible>(DiskContent {
            len,
            content: found.content,
            index: found.index,
        })
    };
    let (application, version) = (release.application().clone(), release.version().clone());
    let Ok(mut document) = spec.into_document(application, version, content_of);
    document.machines.iter_mut().for_each(|machine| machine.descriptor = None);
    document
}

proptest! {
    /// A written descriptor reads back as the same release.
    #[test]
    fn a_descriptor_reads_back_as_it_was_written(release in release()) {
        let machines = release.machines().iter().collect();
        let contents = PackageContents::new("webshop", &release, machines);
        let text = contents.descriptor(&vec![7; contents.hrefs.len()]);
        prop_assert_eq!(&read_back(&text, &release), release.document());
        prop_assert!(contents.unmapped().is_empty());
        let longest = contents.descriptor(&vec![u64::MAX; contents.hrefs.len()]);
        prop_assert!(text.len() <= longest.len(), "what an archive keeps room for");
        let unsized_files = contents.descriptor(&[]);
        prop_assert!(!unsized_files.contains("ovf:size"), "no length is invented");
    }
}
