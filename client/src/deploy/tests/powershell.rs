//! Checks of the script against PowerShell's grammar and the documented parameters of its modules,
//! because tests have no Hyper-V.

use std::collections::BTreeSet;

use tree_sitter::{Node, Parser};

use super::*;

/// The script's commands and their parameters.
///
/// Source: Microsoft's reference of the modules Hyper-V, Microsoft.PowerShell.Core, .Management
/// and .Utility.
const COMMANDS: [(&str, &[&str]); 23] = [
    (
        "Add-VMHardDiskDrive",
        &[
            "-VM",
            "-ControllerType",
            "-ControllerNumber",
            "-ControllerLocation",
            "-Path",
            "-Passthru",
        ],
    ),
    ("Add-VMNetworkAdapter", &["-VM", "-SwitchName", "-StaticMacAddress"]),
    ("Clear-Name", &[]),
    ("Confirm-Switch", &[]),
    ("Find-Disk", &[]),
    ("Get-VM", &["-Name", "-ErrorAction"]),
    ("Get-VMDvdDrive", &["-VM"]),
    ("Get-VMNetworkAdapter", &["-VM"]),
    ("Get-VMSwitch", &["-Name", "-ErrorAction"]),
    ("Join-Path", &[]),
    ("Move-Item", &["-LiteralPath", "-Destination"]),
    ("New-Item", &["-ItemType", "-Force", "-Path"]),
    ("New-VHD", &["-Path", "-ParentPath", "-Differencing"]),
    ("New-VM", &["-Name", "-Generation", "-MemoryStartupBytes", "-NoVHD"]),
    ("New-VMSwitch", &["-Name", "-SwitchType"]),
    ("Out-Null", &[]),
    ("Remove-VM", &["-Name", "-Force"]),
    ("Remove-VMDvdDrive", &[]),
    ("Remove-VMNetworkAdapter", &[]),
    ("Resolve-Disk", &[]),
    ("Set-StrictMode", &["-Version"]),
    ("Set-VM", &["-VM", "-ProcessorCount", "-StaticMemory", "-Notes", "-AutomaticStartDelay"]),
    ("Set-VMFirmware", &["-VM", "-EnableSecureBoot", "-SecureBootTemplate", "-FirstBootDevice"]),
];
/// The commands that also occur in parentheses and conditions.
const OTHERS: [(&str, &[&str]); 3] =
    [("Split-Path", &["-Parent"]), ("Start-VM", &["-Name"]), ("Test-Path", &["-LiteralPath"])];

/// Returns the nodes of one kind in a tree, in order.
fn nodes<'t>(root: Node<'t>, kind: &str) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    let mut left = vec![root];
    while let Some(node) = left.pop() {
        if node.kind() == kind {
            found.push(node);
        }
        left.extend((0..node.child_count()).rev().filter_map(|at| node.child(at)));
    }
    found
}

fn text<'s>(node: Node<'_>, script: &'s str) -> &'s str {
    &script[node.byte_range()]
}

#[test]
fn a_script_for_hyperv_is_powershell_and_calls_what_hyperv_has() {
    let description = described(&rich(), DescriptorTarget::Hyperv, "qcow2");
    let script = text_of(&description, "create.ps1");
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    let tree = parser.parse(script, None).unwrap();
    assert!(!tree.root_node().has_error(), "{}", tree.root_node().to_sexp());

    let mut called = BTreeSet::new();
    for command in nodes(tree.root_node(), "command") {
        let name = nodes(command, "command_name")[0];
        let name = text(name, script);
        let known = COMMANDS.iter().chain(&OTHERS).find(|known| known.0 == name);
        let known = known.unwrap_or_else(|| panic!("{name}: {}", text(command, script)));
        called.insert(name);
        let inner: Vec<_> = nodes(command, "command").split_off(1);
        for parameter in nodes(command, "command_parameter") {
            if inner.iter().any(|inner| inner.byte_range().contains(&parameter.start_byte())) {
                continue;
            }
            let parameter = text(parameter, script);
            assert!(known.1.contains(&parameter), "{name} has no {parameter}");
        }
    }
    assert_eq!(called.len(), COMMANDS.len() + OTHERS.len(), "{called:?}");
}
