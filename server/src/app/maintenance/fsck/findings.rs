//! Findings of a check, and the damage they record.

use seawall_api::digest::ReleaseDigest;
use seawall_store::port::ObjectName;

use super::{Check, RECLAIMABLE_NAMED};
use crate::app::AppError;
use crate::catalog::check::{Class, Finding, Healing, LostObject};

impl Check {
    pub(super) fn find(&mut self, kind: &str, object: String, what: String, class: Class) {
        match class {
            Class::Damage => tracing::warn!(object, what, "damage found"),
            Class::Mended => tracing::warn!(object, what, "damage found and repaired"),
            Class::Reclaimable => {}
        }
        self.found.push(Finding { kind: kind.to_owned(), object, what, class });
    }

    /// Reports damage to a referenced object, and records the damage until a repair.
    pub(super) async fn damage(
        &mut self,
        name: &ObjectName,
        what: String,
        needed_by: Vec<ReleaseDigest>,
    ) -> Result<(), AppError> {
        let object = name.path();
        let lost = LostObject { object: object.clone(), what: what.clone() };
        let now_secs = self.checker.host.now_secs();
        self.checker.catalog.record_damage(lost, needed_by, now_secs).await?;
        self.checker.damage.log_once(name).await;
        self.find(name.kind().rules().noun, object, what, Class::Damage);
        Ok(())
    }

    /// Reports a contradiction within the catalog, or with the store, that is not the fault of a
    /// stored object.
    pub(super) async fn catalog_damage(&mut self, object: String, what: String) {
        self.checker.damage.log(object.clone()).await;
        self.find("catalog", object, what, Class::Damage);
    }

    /// Reports an object that was damaged and is now repaired.
    pub(super) fn mended(&mut self, name: &ObjectName, what: String) {
        self.find(name.kind().rules().noun, name.path(), what, Class::Mended);
    }

    /// Reports an unreferenced object. All are counted, but only the first [`RECLAIMABLE_NAMED`]
    /// are listed.
    pub(super) fn reclaimable(&mut self, name: &ObjectName, len: u64, what: &str) {
        self.progress.reclaimable_count += 1;
        self.progress.reclaimable_bytes = self.progress.reclaimable_bytes.saturating_add(len);
        if self.progress.reclaimable_count <= RECLAIMABLE_NAMED {
            self.find(name.kind().rules().noun, name.path(), what.to_owned(), Class::Reclaimable);
        }
    }

    /// Clears the damage recorded for an object now found intact.
    pub(super) async fn sound(&self, name: &ObjectName) -> Result<(), AppError> {
        self.checker
            .damage
            .healed(name, self.checker.content.actor(None), Healing::IfNoted)
            .await?;
        Ok(())
    }
}
