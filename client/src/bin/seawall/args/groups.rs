//! The commands in the groups that `seawall --help` shows.

/// A heading and the commands under it, in the order they are shown.
pub(super) type Group = (&'static str, &'static [&'static str]);

/// Every command stands in one group.
pub(super) const GROUPS: &[Group] = &[
    ("Make and use releases", &["push", "pull", "patch", "verify", "describe", "export"]),
    ("Look", &["list", "show", "diff", "channels", "status", "report", "hosts"]),
    ("Say what stays", &["promote", "pin", "unpin", "rm", "retention"]),
    (
        "Run a registry",
        &[
            "serve", "gc", "fsck", "repair", "backup", "recover", "drill", "audit", "webhooks",
            "quota",
        ],
    ),
    ("Disk images, without a registry", &["convert", "inspect"]),
    ("Your shell", &["completions", "man"]),
];
