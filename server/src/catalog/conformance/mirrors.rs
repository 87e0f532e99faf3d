//! The conformance of mirrors.

use super::super::jobs::{ClaimJob, JobKind};
use super::super::mirrors::{Direction, Mirror, MirrorAdded, MirrorToken};
use super::super::*;
use super::NOW;

fn mirror(name: &str) -> Mirror {
    Mirror {
        name: name.parse().unwrap(),
        direction: Direction::From,
        url: "https://central.example/a".to_owned(),
        token: Some(MirrorToken::new("swt_secret".to_owned())),
        applications: ["team/*", "shop"].map(|pattern| pattern.parse().unwrap()).to_vec(),
        channels: vec!["stable".parse().unwrap()],
        every_secs: 900,
        bytes_per_sec_max: Some(1 << 20),
        deletes: true,
        overrides_channels: false,
        request_count: 0,
        created_at_secs: NOW,
        created_by: "ops".to_owned(),
    }
}

/// A mirror is listed with its newest job, and is gone with its jobs.
pub(super) async fn a_mirror_lives_with_its_jobs(catalog: &Catalog) {
    let bare = Mirror {
        direction: Direction::To,
        token: None,
        channels: vec![],
        bytes_per_sec_max: None,
        deletes: false,
        overrides_channels: true,
        ..mirror("bare")
    };
    for mirror in [mirror("central"), bare.clone()] {
        assert_eq!(catalog.add_mirror(mirror).await.unwrap(), MirrorAdded::Done);
    }
    let again = catalog.add_mirror(mirror("central")).await.unwrap();
    assert_eq!(again, MirrorAdded::NameTaken);
    let listed = catalog.mirrors().await.unwrap();
    let mirrors: Vec<_> = listed.iter().map(|row| row.mirror.clone()).collect();
    assert_eq!(mirrors, [bare, mirror("central")]);
    assert!(listed.iter().all(|row| row.job.is_none()));
    let claim = ClaimJob {
        name: JobKind::Mirror.of("central"),
        runner: [1; 16],
        now_secs: NOW,
        patience_secs: 6,
        restart: true,
    };
    let job = catalog.claim_job(claim, |_| "{}".to_owned()).await.unwrap();
    assert_eq!(catalog.mirrors().await.unwrap()[1].job, job);
    let (name, ops) = (mirror("central").name, "ops".to_owned());
    assert!(catalog.remove_mirror(name.clone(), ops.clone(), NOW).await.unwrap());
    assert!(!catalog.remove_mirror(name.clone(), ops, NOW).await.unwrap());
    assert_eq!(catalog.newest_job(JobKind::Mirror.of("central")).await.unwrap(), None);
    assert_eq!(catalog.request_mirror(name).await.unwrap(), None);
}

/// Requests are counted, and no entry of the log has the token.
pub(super) async fn requests_of_a_mirror_are_counted(catalog: &Catalog) {
    catalog.add_mirror(mirror("central")).await.unwrap();
    for count in 1..3 {
        let counted = catalog.request_mirror(mirror("central").name).await.unwrap();
        assert_eq!(counted, Some(count));
    }
    for failure in [Some("no route".to_owned()), None] {
        catalog.log_mirror_state(mirror("central"), failure, NOW + 1).await.unwrap();
    }
    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let log = catalog.audit(query).await.unwrap();
    let changes: Vec<_> = log.iter().map(|it| it.entry.facts["change"].as_str()).collect();
    assert_eq!(changes, ["recovered", "failing", "added"]);
    assert_eq!(log[1].entry.facts["reason"], "no route");
    assert!(!format!("{log:?} {:?}", mirror("central")).contains("swt_secret"));
}
