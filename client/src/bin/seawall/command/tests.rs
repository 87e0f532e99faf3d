use clap::Parser;

use super::*;
use crate::args::Cli;

fn prove(line: &str) -> Result<Command, String> {
    let words = std::iter::once("seawall").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    Command::prove(cli.command).map_err(|failure| failure.to_string())
}

#[test]
fn commands_are_parsed_to_their_meaning() {
    let cases = [
        ("list", "Applications"),
        ("list team/webshop", "Releases"),
        ("show webshop:1.0", "Version(Version(\"1.0\"))"),
        ("show webshop:stable", "Channel(ChannelName(\"stable\"))"),
        ("show registry.example:8443/webshop:1.0", "Some(Host(\"registry.example:8443\"))"),
        ("diff webshop:1.0 webshop:2.0", "Diff"),
        ("diff h.example/webshop:1.0 webshop:2.0", "Some(Host(\"h.example\"))"),
        (
            "diff webshop:1.0 2.0",
            "ApplicationName(\"webshop\"), selector: Version(Version(\"2.0\"))",
        ),
        ("diff webshop:1.0 :stable", "selector: Channel("),
        ("channels webshop", "Channels"),
        ("channels webshop stable", "History"),
        ("promote webshop:1.0 stable", "expect: None"),
        ("promote webshop:1.0 stable --expect new", "expect: Some(New)"),
        ("promote webshop:1.0 stable --expect 7", "expect: Some(Sequence(7))"),
        ("audit", "Log(AuditFilter { application: None, action: None"),
        (
            "audit team/webshop --action promote --since 1970-01-02",
            "since_secs: Some(86400) }, 100)",
        ),
        ("audit --verify", "VerifyLog(None)"),
        ("webhooks list", "Webhooks"),
        ("token list", "List"),
        ("token revoke ci", "Revoke(TokenName(\"ci\"))"),
        ("quota webshop", "data_bytes_max: None, release_count_max: None"),
        (
            "quota webshop --bytes 1GiB --releases none",
            "Some(Some(1073741824)), release_count_max: Some(None)",
        ),
        ("convert a.qcow2 b.vmdk", "format: Vmdk, round: Exact, threads"),
        ("convert a b --format vhd-fixed --round mib", "format: VhdFixed, round: UpToMib"),
        ("export shop:1/web/root --format vhd --round mib -o x", "format: Vhd, round: UpToMib"),
        ("convert a.qcow2 b.IMG --force", "Replace)), format: Raw"),
        ("convert a - --format vmdk-stream --from raw", "to: None, format: VmdkStream"),
        ("inspect a.vhd --digest", "digest: true"),
        ("push webshop:1.0 --machine web=a.raw,b.raw", "full_scan: false"),
        ("push webshop:2.0 --machine web=a --machine db=b --full-scan", "full_scan: true"),
        (
            "push webshop:2.0 --machine web=a --parent stable",
            "parent: Some(Target { application: ApplicationName(\"webshop\"), selector: Channel(",
        ),
        ("pull team/webshop:1.0", "into: \"webshop\""),
        ("pull webshop:1.0 --into x --format qcow2", "format: Qcow2"),
        ("pull webshop:1.0/web", "machines: [MachineName(\"web\")]"),
        (
            "pull webshop:1.0/web --machine db --machine web",
            "machines: [MachineName(\"db\"), MachineName(\"web\")]",
        ),
        (
            "pull webshop:1.0 --dry-run --locked",
            "dry_run: true, locked: Some(\"webshop/seawall.lock\")",
        ),
        ("pull webshop:1.0 --threads 3", "threads: 3"),
        ("patch ./webshop --to webshop:2.0 --dry-run", "dry_run: true"),
        ("verify ./webshop", "VerifyDir"),
        ("verify /srv/webshop", "VerifyDir"),
        ("verify webshop:1.0", "VerifyRelease"),
    ];
    for (line, expect) in cases {
        let command = format!("{:?}", prove(line).unwrap());
        assert!(command.contains(expect), "{line}\n{command}");
    }
}

#[test]
fn invalid_commands_are_refused_with_the_command_to_write() {
    let cases = [
        ("show webshop", "write webshop:VERSION"),
        ("show Webshop:1.0", "is not an application name"),
        ("show webshop:1.0/web", "omit `/web`"),
        ("show webshop@1.0", "a digest begins with `blake3:`"),
        ("list webshop:1.0", "omit `1.0`"),
        ("push webshop:stable --machine web=a", "does not name a version"),
        ("push webshop:1.0", "no disks are named"),
        ("push webshop:1.0 --machine web", "there is no `=`"),
        ("push webshop:1.0 --machine web=a --file x.toml", "cannot be used with"),
        ("push webshop:1.0 --machine web=a --machine web=b", "the machine `web` is given twice"),
        ("push webshop:1.0 --file /nonexistent/application.toml", "cannot read"),
        ("push webshop:1.0 --machine web=a --parent a/b", "is not a channel name"),
        ("pull webshop:1.0/web/root", "omit `/root`"),
        ("pull webshop:1.0 --format vdi", "possible values: raw, qcow2"),
        ("pull webshop:1.0 --machine ../x", "is not a machine name"),
        ("pull webshop:1.0 --threads 0", "0 is not in 1..=1024"),
        ("patch ./nosuch", "there is no directory ./nosuch"),
        ("patch ./nosuch --to stable", "there is no directory ./nosuch"),
        ("show :stable", "relative to a pulled folder"),
        ("diff webshop:1", "holds no pulled release"),
        ("promote webshop:1.0 2.0", "a channel begins with a letter"),
        ("promote webshop:1.0 stable --expect 0", "is not a sequence number"),
        ("promote webshop:1.0 stable --expect -1", "unexpected argument"),
        ("diff a.example/w:1 b.example/w:2", "two registries"),
        ("verify nonsense", "is neither an existing directory"),
        ("verify Cargo.toml", "`seawall inspect Cargo.toml --digest`"),
        ("diff nonsense", "is neither an existing directory"),
        ("diff nonsense 1.0", "is neither an existing directory"),
        ("push webshop --machine web=a", "as in `seawall push webshop:1.0.0`"),
        ("push Cargo.toml", "the first argument of a push"),
        ("promote stable webshop:1.0", "`seawall promote webshop:1.0 stable`"),
        ("pull http://127.0.0.1:7440/webshop:1.0", "write `127.0.0.1:7440/webshop:1.0`"),
        ("export webshop:1.0/web/root -o web.ova", "`seawall pull REFERENCE --as ova`"),
        ("describe ./webshop --as ova", "`seawall pull REFERENCE --as ova`"),
        ("status --ttl 7d", "`seawall report --all`"),
        ("webhooks deliveries x", "`seawall webhooks list`"),
        ("retention set webshop --keep-last 0", "1..=1000000"),
        ("frobnicate", "unrecognized subcommand"),
    ];
    for (line, expect) in cases {
        let text = prove(line).unwrap_err();
        assert!(text.contains(expect), "{line}\n{text}");
    }
}
