//! Examples of the commands that run a registry.

use super::{Examples, example};

/// The examples of the commands that run a registry.
pub(super) const EXAMPLES: &[Examples] = &[
    (
        "gc",
        &[
            example("See what would be removed", "seawall gc --dry-run"),
            example("Remove the data, copying at most 50 MiB/s", "seawall gc --rate 50"),
        ],
    ),
    (
        "fsck",
        &[
            example("Check everything, or resume a check", "seawall fsck"),
            example("Show the progress of the newest check", "seawall fsck --status"),
        ],
    ),
    (
        "repair",
        &[
            example(
                "Restore lost data from another registry",
                "seawall repair --from https://mirror.example",
            ),
            example(
                "Restore one release from pulled disks",
                "seawall repair shop:1.0.0 --from ./shop",
            ),
        ],
    ),
    (
        "jobs",
        &[
            example("Show what runs, and when the last backup ended", "seawall jobs"),
            example(
                "Stop deleting releases of an application",
                "seawall jobs --stop retention/shop",
            ),
        ],
    ),
    (
        "backup",
        &[
            example(
                "Copy the catalog of a registry's directory",
                "seawall backup /var/lib/seawall catalog.backup",
            ),
            example(
                "Copy the catalog of a running registry",
                "seawall backup catalog.backup --registry http://127.0.0.1:7440",
            ),
        ],
    ),
    (
        "recover",
        &[
            example("Rebuild the catalog of a registry", "seawall recover /var/lib/seawall"),
            example("Print the result as JSON", "seawall recover /var/lib/seawall --json"),
        ],
    ),
    (
        "drill",
        &[
            example("Rehearse a recovery", "seawall drill /var/lib/seawall"),
            example(
                "Verify 50 releases, and keep the catalog",
                "seawall drill /var/lib/seawall --releases 50 --into ./drill",
            ),
        ],
    ),
    (
        "relocate",
        &[
            example(
                "Move a registry out of its directory",
                "seawall relocate ./registry --store s3://images --catalog postgres://me@db/images",
            ),
            example(
                "Move it back",
                "seawall relocate ./registry --from-store s3://images --from-catalog postgres://me@db/images",
            ),
            example(
                "See what would be moved",
                "seawall relocate ./registry --store s3://images --dry-run",
            ),
        ],
    ),
    (
        "mirror",
        &[
            example(
                "Keep a site supplied with the stable releases",
                "seawall mirror add site --to https://site.example --apps '*' --channels stable",
            ),
            example("See how far behind the mirrors are", "seawall mirror list"),
        ],
    ),
    (
        "mirror add",
        &[
            example(
                "Send the releases of a team to a site, at most 200 MiB/s",
                "seawall mirror add site --to https://site.example --apps 'team/*' --limit 200MiB/s",
            ),
            example(
                "Fetch everything from another registry once an hour",
                "seawall mirror add central --from https://central.example --apps '*' --every 1h",
            ),
        ],
    ),
    (
        "mirror list",
        &[
            example("List the mirrors", "seawall mirror list"),
            example("Print their names alone", "seawall mirror list --format names"),
        ],
    ),
    (
        "mirror run",
        &[
            example("Run a mirror now", "seawall mirror run site"),
            example("Print the result as JSON", "seawall mirror run site --json"),
        ],
    ),
    (
        "mirror status",
        &[
            example("Show how far a mirror is", "seawall mirror status site"),
            example("Print the status as JSON", "seawall mirror status site --json"),
        ],
    ),
    (
        "mirror remove",
        &[
            example("Remove a mirror", "seawall mirror remove site"),
            example(
                "Remove one of a registry in a directory",
                "seawall mirror remove site --registry ./registry",
            ),
        ],
    ),
    (
        "audit",
        &[
            example("Show who did what to an application", "seawall audit shop --since 7d"),
            example("Prove that the log was not changed", "seawall audit --verify"),
        ],
    ),
    (
        "webhooks",
        &[
            example(
                "Send an event for every release",
                "seawall webhooks add https://hooks.example/a --events publish --secret-file key",
            ),
            example("List the webhooks", "seawall webhooks list"),
        ],
    ),
    (
        "webhooks add",
        &[
            example(
                "Send an event for every release and every move of a channel",
                "seawall webhooks add https://hooks.example/a --events publish,promote --secret-file key",
            ),
            example(
                "Send events of one application",
                "seawall webhooks add https://hooks.example/b --events delete --application shop --secret-file key",
            ),
        ],
    ),
    (
        "webhooks list",
        &[
            example("List the webhooks", "seawall webhooks list"),
            example("Print their identifiers alone", "seawall webhooks list --format names"),
        ],
    ),
    (
        "webhooks remove",
        &[
            example(
                "Remove a webhook by its identifier",
                "seawall webhooks remove 3f2a9c0d5e6b7a8190a1b2c3d4e5f607",
            ),
            example(
                "Remove it in a registry's directory",
                "seawall webhooks remove 3f2a9c0d5e6b7a8190a1b2c3d4e5f607 --registry ./registry",
            ),
        ],
    ),
    (
        "webhooks deliveries",
        &[
            example(
                "Show the responses of a receiver",
                "seawall webhooks deliveries 3f2a9c0d5e6b7a8190a1b2c3d4e5f607",
            ),
            example(
                "Print it as CSV",
                "seawall webhooks deliveries 3f2a9c0d5e6b7a8190a1b2c3d4e5f607 --format csv",
            ),
        ],
    ),
    (
        "token",
        &[
            example(
                "Create a token for a pipeline",
                "seawall token create ci --role publisher --apps 'team/*' --expires 90d",
            ),
            example("List the tokens", "seawall token list"),
        ],
    ),
    (
        "token create",
        &[
            example(
                "Create a token for a pipeline that publishes one team's applications",
                "seawall token create ci --role publisher --apps 'team/*' --expires 90d --output token",
            ),
            example(
                "Create the first token in a registry's directory",
                "seawall token create ops --role publisher --registry ./registry",
            ),
        ],
    ),
    (
        "token list",
        &[
            example("List the tokens", "seawall token list"),
            example("Print it as CSV", "seawall token list --format csv"),
        ],
    ),
    (
        "token revoke",
        &[
            example("Revoke a token", "seawall token revoke ci"),
            example(
                "Revoke it in a registry's directory",
                "seawall token revoke ci --registry ./registry",
            ),
        ],
    ),
    (
        "quota",
        &[
            example("Show current use", "seawall quota shop"),
            example("Set limits", "seawall quota shop --bytes 500GiB --releases 50"),
            example("Remove a limit", "seawall quota shop --bytes none"),
        ],
    ),
    (
        "serve",
        &[
            example("Serve on the loopback address", "seawall serve ./registry"),
            example(
                "Serve a network, with tokens",
                "seawall serve /var/lib/seawall --listen 0.0.0.0:7440 --token-file /etc/seawall/tokens",
            ),
            example(
                "Fetch from a registry far away once for all hosts of a site",
                "seawall serve /var/cache/seawall --upstream https://registry.example",
            ),
        ],
    ),
];
