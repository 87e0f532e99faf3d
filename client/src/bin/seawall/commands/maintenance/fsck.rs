//! `seawall fsck`.

use std::time::Duration;

use seawall::error::ErrorKind;
use seawall::progress::Stage;
use seawall_api::units::HumanBytes;
use seawall_api::v1::{Damage, Finding, FindingClass, Fsck, FsckState, StartFsck};

use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{Style, answer, count, moment, print};

/// The longest pause between two polls of a running check.
const POLL_EVERY: Duration = Duration::from_millis(300);
/// The first pause, doubled after every poll: small registries are checked at once.
const POLL_FIRST: Duration = Duration::from_millis(20);
/// The number of disks named for a damaged release; `show` names them all.
const DISKS_NAMED: usize = 20;

pub(crate) async fn fsck(context: &Context, mut order: StartFsck) -> Result<(), Failure> {
    let registry = &context.registry;
    let mut fsck = registry.start_fsck(&order).await?;
    // A restart applies once; later orders resume the check.
    order.restart = false;
    context.progress.begin(Stage::Verify, Some(fsck.total_bytes));
    let (mut told, mut pause) = (0, POLL_FIRST);
    loop {
        context.progress.advance(fsck.bytes.saturating_sub(told));
        told = fsck.bytes.max(told);
        match fsck.state {
            FsckState::Running => {
                tokio::time::sleep(pause).await;
                pause = POLL_EVERY.min(pause * 2);
                fsck = registry.fsck().await?;
            }
            // The process that ran the check died, and no sign of life came for some time.
            FsckState::Interrupted => {
                tokio::time::sleep(POLL_EVERY).await;
                fsck = registry.start_fsck(&order).await?;
            }
            FsckState::Never | FsckState::Stopped | FsckState::Failed | FsckState::Complete => {
                break;
            }
        }
    }
    context.progress.finish();
    tell(context, &fsck).await?;
    ended(&fsck)
}

/// Fails unless the check is complete.
fn ended(fsck: &Fsck) -> Result<(), Failure> {
    if fsck.state == FsckState::Complete {
        return Ok(());
    }
    let stopped = Failure::internal(format!("the check was stopped at {}", fsck.phase));
    Err(stopped.of_kind(ErrorKind::Unavailable).with_remedy("run it again: it resumes"))
}

pub(crate) async fn status(context: &Context) -> Result<(), Failure> {
    let fsck = context.registry.fsck().await?;
    tell(context, &fsck).await
}

pub(crate) async fn stop(context: &Context) -> Result<(), Failure> {
    context.registry.stop_fsck().await?;
    let fsck = context.registry.fsck().await?;
    answer(context.style, &fsck, text)
}

/// Prints the state of a check. Remaining damage is a failure, as is a check that broke off.
async fn tell(context: &Context, fsck: &Fsck) -> Result<(), Failure> {
    answer(context.style, fsck, text)?;
    if is_damaged(fsck) && context.style == Style::Text {
        print(&damaged_text(&context.registry.damage().await?))?;
    }
    judge(fsck)
}

/// Returns true if the check found damage that the registry could not mend.
fn is_damaged(fsck: &Fsck) -> bool {
    damage_left(fsck).0 > 0
}

/// Returns the number of findings with remaining damage, and whether the number is a minimum.
/// Damage is listed first, so a truncated list with other findings contains all damage.
fn damage_left(fsck: &Fsck) -> (u64, bool) {
    let is_left = |finding: &&Finding| finding.class == FindingClass::Damage;
    let left = fsck.findings.iter().filter(is_left).count();
    (left as u64, fsck.findings_left_out > 0 && left == fsck.findings.len())
}

fn judge(fsck: &Fsck) -> Result<(), Failure> {
    let (left, is_least) = damage_left(fsck);
    if left > 0 {
        let more = if is_least { " or more" } else { "" };
        let what = format!("the check found damage: {}{more}", count(left, "finding"));
        let remedy = "push the damaged releases again, or run `seawall repair --from URL|DIR`; \
                      see docs/operations/repair.md";
        return Err(Failure::damaged(what, remedy));
    }
    if let Some(failure) = &fsck.failure {
        let failed = Failure::internal(format!("the check failed: {failure}"));
        return Err(failed.of_kind(ErrorKind::Unavailable).with_remedy("run it again: it resumes"));
    }
    Ok(())
}

/// Lists damaged releases and the affected disks, as candidates for another push.
fn damaged_text(damage: &Damage) -> String {
    let mut text = String::new();
    for release in &damage.releases {
        let mut disks: Vec<_> = release.lost.iter().flat_map(|lost| &lost.disks).collect();
        disks.sort();
        disks.dedup();
        let named: Vec<_> = disks.iter().take(DISKS_NAMED).map(|disk| disk.as_str()).collect();
        let (application, version) = (&release.application, &release.version);
        let lost = count(release.lost.len() as u64, "object");
        text += &format!("  {application}:{version} lacks {lost}");
        if !named.is_empty() {
            let more = if disks.len() > named.len() { ", …" } else { "" };
            let verb = if disks.len() == 1 { "needs" } else { "need" };
            text += &format!(", which {}{more} {verb}", named.join(", "));
        }
        text += "\n";
    }
    if damage.is_cut {
        text += "  … and more releases\n";
    }
    text
}

fn text(fsck: &Fsck) -> String {
    let state = match fsck.state {
        FsckState::Never => return "there has been no check\n".to_owned(),
        FsckState::Running => format!("is running, now at {}", fsck.phase),
        FsckState::Interrupted => format!("was interrupted at {}", fsck.phase),
        FsckState::Stopped => format!("was stopped at {}", fsck.phase),
        FsckState::Failed => format!("failed at {}", fsck.phase),
        FsckState::Complete => {
            format!("was completed at {}", moment(fsck.completed_at_secs.unwrap_or(0)))
        }
    };
    let mut text = format!(
        "check {} {state}: {} checked, {} read\n",
        fsck.run,
        count(fsck.objects, "object"),
        HumanBytes(fsck.bytes)
    );
    let of = |class: FindingClass| fsck.findings.iter().filter(move |f| f.class == class);
    for finding in of(FindingClass::Damage) {
        text += &format!("  DAMAGED  {}: {}\n", finding.object, finding.what);
    }
    for finding in of(FindingClass::Mended) {
        text += &format!("  mended   {}: {}\n", finding.object, finding.what);
    }
    if fsck.findings_left_out > 0 {
        text += &format!("  … and {} more\n", fsck.findings_left_out);
    }
    if fsck.damage_count == 0 {
        text += "  no damage was found\n";
    } else if !is_damaged(fsck) {
        text += "  all damage was mended\n";
    }
    if fsck.reclaimable_count > 0 {
        text += &format!(
            "  no release needs {} ({})\n",
            count(fsck.reclaimable_count, "object"),
            HumanBytes(fsck.reclaimable_bytes)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use seawall_api::digest::ReleaseDigest;
    use seawall_api::v1::{DamagedRelease, LostObject};

    use super::*;

    fn checked(state: FsckState, classes: &[FindingClass]) -> Fsck {
        let finding = |class: &FindingClass| Finding {
            kind: "pack".to_owned(),
            object: "packs/a".to_owned(),
            what: "it is gone".to_owned(),
            class: *class,
        };
        let is_damage = |class: &&FindingClass| **class != FindingClass::Reclaimable;
        Fsck {
            state,
            run: 1,
            phase: "packs".to_owned(),
            started_at_secs: 0,
            completed_at_secs: (state == FsckState::Complete).then_some(0),
            objects: 1,
            bytes: 1,
            total_bytes: 1,
            damage_count: classes.iter().filter(is_damage).count() as u64,
            reclaimable_count: 0,
            reclaimable_bytes: 0,
            findings: classes.iter().map(finding).collect(),
            findings_left_out: 0,
            failure: None,
            last_complete_at_secs: None,
        }
    }

    #[test]
    fn repaired_damage_is_reported_and_exits_with_0() {
        let fsck = checked(FsckState::Complete, &[FindingClass::Mended]);
        assert!(judge(&fsck).is_ok());
        assert!(text(&fsck).contains("all damage was mended"));
        let fsck = checked(FsckState::Complete, &[FindingClass::Damage, FindingClass::Mended]);
        assert_eq!(judge(&fsck).unwrap_err().what(), "the check found damage: 1 finding");
        assert!(!text(&fsck).contains("all damage"));
    }

    #[test]
    fn a_list_that_is_cut_says_what_is_damaged_at_the_least() {
        let mut fsck = checked(FsckState::Complete, &[FindingClass::Damage; 2]);
        fsck.findings_left_out = 3;
        assert_eq!(judge(&fsck).unwrap_err().what(), "the check found damage: 2 findings or more");
        fsck.findings[1].class = FindingClass::Mended;
        assert_eq!(judge(&fsck).unwrap_err().what(), "the check found damage: 1 finding");
    }

    #[test]
    fn a_check_that_was_stopped_is_not_what_was_asked_for() {
        for state in [FsckState::Stopped, FsckState::Never, FsckState::Failed] {
            assert!(ended(&checked(state, &[])).is_err(), "{state:?}");
        }
        assert!(ended(&checked(FsckState::Complete, &[])).is_ok());
    }

    #[test]
    fn damaged_releases_are_listed_with_their_disks() {
        let lost = |object: &str, disks: &[&str]| LostObject {
            object: object.to_owned(),
            what: "it is gone".to_owned(),
            disks: disks.iter().map(|&disk| disk.to_owned()).collect(),
        };
        let release = |version: &str, lost| DamagedRelease {
            application: "shop".parse().unwrap(),
            version: version.parse().unwrap(),
            digest: ReleaseDigest::of(b"x"),
            lost,
        };
        let damage = Damage {
            releases: vec![
                release("1.1", vec![lost("packs/a", &["web/root", "db/data"])]),
                release("1.0", vec![lost("packs/a", &["web/root"]), lost("releases/b", &[])]),
                release("0.9", vec![lost("releases/c", &[])]),
            ],
            is_cut: true,
        };
        assert_eq!(
            damaged_text(&damage),
            "  shop:1.1 lacks 1 object, which db/data, web/root need\n  \
             shop:1.0 lacks 2 objects, which web/root needs\n  \
             shop:0.9 lacks 1 object\n  … and more releases\n"
        );
    }

    #[test]
    fn findings_are_told_a_line_each_and_damage_first() {
        let finding = |object: &str, class| Finding {
            kind: "pack".to_owned(),
            object: object.to_owned(),
            what: "it is gone".to_owned(),
            class,
        };
        let fsck = Fsck {
            state: FsckState::Complete,
            run: 2,
            phase: String::new(),
            started_at_secs: 0,
            completed_at_secs: Some(0),
            objects: 3,
            bytes: 1 << 20,
            total_bytes: 1 << 20,
            damage_count: 2,
            reclaimable_count: 1,
            reclaimable_bytes: 1 << 10,
            findings: vec![
                finding("names/a", FindingClass::Mended),
                finding("packs/b", FindingClass::Damage),
                finding("packs/c", FindingClass::Reclaimable),
            ],
            findings_left_out: 0,
            failure: None,
            last_complete_at_secs: None,
        };
        assert_eq!(
            text(&fsck),
            "check 2 was completed at 1970-01-01 00:00:00Z: 3 objects checked, 1.0 MiB read\n  \
             DAMAGED  packs/b: it is gone\n  mended   names/a: it is gone\n  \
             no release needs 1 object (1.0 KiB)\n"
        );
    }
}
