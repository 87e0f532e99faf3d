//! The conformance of the rows that an upload adds in one transaction.

use super::super::check::{Healing, LostObject};
use super::super::collect::{Added, Collectable, Stored};
use super::super::{Quota, Renewal};
use super::*;

const TTL_SECS: u64 = 3600;

fn at(now_secs: u64) -> Renewal {
    Renewal { now_secs, ttl_secs: TTL_SECS }
}

async fn admitted(catalog: &Catalog, seed: u8) -> (NewLease, Stored) {
    let lease = lease(seed, NOW + TTL_SECS);
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let admission = catalog.admit_upload(lease.id, at(NOW)).await.unwrap().unwrap();
    let is_metered = admission.load.is_some();
    (lease, Stored { grip: admission.lease.grip, healing: Healing::IfNoted, is_metered })
}

async fn an_admission_marks_its_lease_and_renews_it_when_due(catalog: &Catalog) {
    let (lease, _) = admitted(catalog, 61).await;
    let found = catalog.lease(lease.id, NOW).await.unwrap().unwrap();
    assert!(found.has_kept, "objects are stored under it from now on");
    let later = NOW + 59;
    catalog.admit_upload(lease.id, at(later)).await.unwrap().unwrap();
    let found = catalog.lease(lease.id, later).await.unwrap().unwrap();
    assert_eq!(found.deadline_secs, NOW + TTL_SECS, "a renewal costs a sync");
    let later = NOW + 60;
    catalog.admit_upload(lease.id, at(later)).await.unwrap().unwrap();
    let found = catalog.lease(lease.id, later).await.unwrap().unwrap();
    assert_eq!(found.deadline_secs, later + TTL_SECS);
    catalog.end_lease(lease.id).await.unwrap();
    assert_eq!(catalog.admit_upload(lease.id, at(later)).await.unwrap(), None);
}

async fn a_lease_to_pull_is_not_marked(catalog: &Catalog) {
    let lease = NewLease { purpose: Purpose::Pull, ..lease(62, NOW + 10) };
    catalog.open_lease(lease.clone(), NOW).await.unwrap();
    let admission = catalog.admit_upload(lease.id, at(NOW)).await.unwrap().unwrap();
    assert_eq!(admission.lease.purpose, Purpose::Pull);
    let found = catalog.lease(lease.id, NOW).await.unwrap().unwrap();
    assert_eq!((found.has_kept, found.deadline_secs), (false, NOW + 10));
    catalog.end_lease(lease.id).await.unwrap();
}

async fn new_data_counts_toward_a_quota_once(catalog: &Catalog) {
    let application = lease(63, NOW).application;
    let quota = Quota { data_bytes_max: Some(1 << 40), release_count_max: None };
    catalog.set_quota(application.clone(), quota, String::new(), NOW).await.unwrap();
    let (lease, stored) = admitted(catalog, 63).await;
    assert!(stored.is_metered);
    let new = pack(61, 61_000..61_003);
    let len: u64 = new.frames.iter().map(|frame| u64::from(frame.plain_len)).sum();
    for _ in 0..2 {
        assert_eq!(catalog.keep_pack(new.clone(), stored).await.unwrap(), Added::Present);
        let admission = catalog.admit_upload(lease.id, at(NOW)).await.unwrap().unwrap();
        assert_eq!(admission.load.unwrap().brought, len);
    }
    let quota = Quota::default();
    catalog.set_quota(application, quota, String::new(), NOW).await.unwrap();
    catalog.end_lease(lease.id).await.unwrap();
}

async fn an_object_stored_again_is_no_longer_damaged(catalog: &Catalog) {
    let (lease, stored) = admitted(catalog, 64).await;
    let list = index_row();
    let objects = [
        Collectable::Index(list.digest),
        Collectable::Descriptor(seawall_api::digest::DescriptorDigest::of(b"upload")),
    ];
    for object in objects {
        let lost = LostObject { object: object.object().path(), what: "gone".to_owned() };
        let release = ReleaseDigest::of(b"upload");
        catalog.record_damage(lost, vec![release], NOW).await.unwrap();
        assert_eq!(catalog.lost_of(release).await.unwrap().len(), 1);
        let added = match object {
            Collectable::Index(_) => catalog.keep_index(list, vec![], stored).await.unwrap(),
            _ => catalog.keep_object(object, stored).await.unwrap(),
        };
        assert_eq!(added, Added::Present);
        assert_eq!(catalog.lost_of(release).await.unwrap(), []);
    }
    catalog.end_lease(lease.id).await.unwrap();
}

pub(super) async fn all(catalog: &Catalog) {
    an_admission_marks_its_lease_and_renews_it_when_due(catalog).await;
    a_lease_to_pull_is_not_marked(catalog).await;
    new_data_counts_toward_a_quota_once(catalog).await;
    an_object_stored_again_is_no_longer_damaged(catalog).await;
}
