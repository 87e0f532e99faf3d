//! Storage of proven bytes, while sweeps may run.

use std::time::Duration;

use bytes::Bytes;
use seawall_store::port::{ObjectName, Put};

use super::Content;
use crate::app::AppError;
use crate::catalog::check::Healing;
use crate::catalog::collect::{Actor, Added, Stored};
use crate::catalog::{Admission, Lease, LeaseId};

/// The delay between retries while a sweep removes an object that is to be stored again. A sweep
/// usually takes milliseconds; after `SWEEP_TRIES` attempts the request fails with
/// [`AppError::Busy`].
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
pub(in crate::app) const SWEEP_TRIES: u32 = 500;
pub(in crate::app) const SWEEP_RUNS: &str = "an object needed by this request is being collected";

impl Content {
    /// Stores bytes that were proven to match `name`, and clears the damage recorded of the object.
    pub(in crate::app) async fn keep(
        &self,
        name: &ObjectName,
        bytes: Bytes,
        actor: Actor,
    ) -> Result<Put, AppError> {
        let (put, healing) = self.store_bytes(name, bytes).await?;
        self.damage.healed(name, actor, healing).await?;
        Ok(put)
    }

    /// Stores bytes that were proven to match `name`. Replaces the object at rest if its bytes are
    /// unreadable or differ: a new upload repairs damage at rest.
    async fn store_bytes(
        &self,
        name: &ObjectName,
        bytes: Bytes,
    ) -> Result<(Put, Healing), AppError> {
        if self.store.put(name, bytes.clone()).await? == Put::Created {
            return Ok((Put::Created, Healing::IfNoted));
        }
        match self.store.get(name).await {
            Ok(found) if found == bytes => return Ok((Put::AlreadyPresent, Healing::IfNoted)),
            Ok(_) => tracing::warn!(object = name.path(), "repairs a damaged object"),
            Err(error) => tracing::warn!(object = name.path(), %error, "repairs a damaged object"),
        }
        self.store.replace(name, bytes).await?;
        if let ObjectName::Pack(pack) = name {
            self.forget_cached(*pack);
        }
        Ok((Put::Created, Healing::Seen))
    }

    /// Stores bytes under a lease and adds their row with `add`: one transaction before the bytes,
    /// one after. Retries while a sweep may have removed the bytes between the two.
    pub(super) async fn keep_under(
        &self,
        lease: LeaseId,
        name: &ObjectName,
        bytes: &Bytes,
        add: impl AsyncFn(Stored) -> Result<Added, AppError>,
    ) -> Result<Put, AppError> {
        let admission = self.admit_upload(lease).await?;
        self.keep_admitted(admission, name, bytes, add).await
    }

    /// As [`Self::keep_under`], once the first transaction is done.
    pub(super) async fn keep_admitted(
        &self,
        admission: Admission,
        name: &ObjectName,
        bytes: &Bytes,
        add: impl AsyncFn(Stored) -> Result<Added, AppError>,
    ) -> Result<Put, AppError> {
        let Admission { mut lease, load } = admission;
        for _ in 0..SWEEP_TRIES {
            let (put, healing) = self.store_bytes(name, bytes.clone()).await?;
            self.damage.rearm(name);
            let stored = Stored { grip: lease.grip, healing, is_metered: load.is_some() };
            if add(stored).await? == Added::Present {
                return Ok(put);
            }
            self.wait_for_sweep().await?;
            lease = self.admit_upload(lease.id).await?.lease;
        }
        Err(AppError::Busy { what: SWEEP_RUNS })
    }

    /// Waits for a running sweep, after finishing one that was abandoned.
    pub(in crate::app) async fn wait_for_sweep(&self) -> Result<(), AppError> {
        self.sweeper.finish_abandoned().await?;
        tokio::time::sleep(SWEEP_PAUSE).await;
        Ok(())
    }

    /// The actor for the audit log: the holder of the lease, or the registry itself, at the present
    /// time.
    pub(in crate::app) fn actor(&self, lease: Option<LeaseId>) -> Actor {
        Actor { lease, at_secs: self.host.now_secs() }
    }

    /// Marks the lease as keeping an object, before the object is stored. Skips the mark if the
    /// object is already present, because the lease that stored it is marked.
    pub(in crate::app) async fn record_kept(
        &self,
        lease: &Lease,
        name: &ObjectName,
    ) -> Result<(), AppError> {
        if !lease.has_kept && self.store.len(name).await?.is_none() {
            self.catalog.record_kept(lease.id).await?;
        }
        Ok(())
    }
}
