//! The groups of commands in `seawall --help`.

/// A heading and its commands, in the order shown.
pub(super) type Group = (&'static str, &'static [&'static str]);

/// The groups; a test checks for exactly one group per command.
pub(super) const GROUPS: &[Group] = &[
    (
        "Publish and use releases",
        &["push", "pull", "patch", "verify", "describe", "export", "copy", "bundle"],
    ),
    ("Inspect", &["list", "show", "diff", "channels", "status", "report", "hosts"]),
    ("Keep and delete releases", &["promote", "pin", "unpin", "rm", "retention"]),
    ("Images of a cloud", &["cloud"]),
    (
        "Run a registry",
        &[
            "serve", "gc", "fsck", "repair", "jobs", "backup", "recover", "drill", "relocate",
            "mirror", "audit", "webhooks", "quota", "token",
        ],
    ),
    ("Disk images, without a registry", &["convert", "inspect"]),
    ("Shell", &["completions", "man"]),
];
