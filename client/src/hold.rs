//! Hold: protects the objects that a flow reads from collection, even if their release is deleted.
//!
//! Holding is best effort. A registry with a full disk, or a read-only mirror, grants no lease but
//! still serves reads. The flow verifies its reads in either case.

use std::sync::Arc;
use std::time::Duration;

use seawall_api::names::ApplicationName;
use seawall_api::v1::{Lease, LeasePurpose};

use crate::registry::{Reading, RegistryError};

/// The number of renewals within the lifetime of a lease.
const RENEWALS_PER_TTL: u32 = 4;

/// Runs `work`, which reads releases of `application`, under a lease. The lease is opened before
/// the work begins, so that every release it resolves is protected.
///
/// # Errors
/// Those of the work.
pub(crate) async fn during<T, E>(
    registry: &Arc<dyn Reading>,
    application: &ApplicationName,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let open = || registry.open_lease(application, LeasePurpose::Pull, None);
    let mut lease = match open().await {
        Ok(lease) => lease,
        Err(error) => {
            unheld(&error);
            return work.await;
        }
    };
    let outcome = {
        let renew = async {
            loop {
                pause(&lease).await;
                let Err(error) = registry.renew_lease(&lease).await else { continue };
                unheld(&error);
                // The lease may have expired while this host slept. A new one protects the
                // remaining objects.
                if let Ok(another) = open().await {
                    lease = another;
                }
            }
        };
        tokio::select! {
            outcome = work => outcome,
            () = renew => unreachable!("it renews for ever"),
        }
    };
    // An unended lease expires.
    let _ = registry.end_lease(&lease).await;
    outcome
}

/// Keeps `lease` alive while `work` runs, even if the work makes no requests for a long time. If
/// the lease ends nevertheless, the registry's answers tell the work.
pub(crate) async fn renewing<T>(
    registry: &dyn Reading,
    lease: &Lease,
    work: impl Future<Output = T>,
) -> T {
    let renew = async {
        loop {
            pause(lease).await;
            if let Err(error) = registry.renew_lease(lease).await {
                tracing::warn!(%error, "cannot renew the lease of this transfer");
            }
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = renew => unreachable!("it renews for ever"),
    }
}

async fn pause(lease: &Lease) {
    tokio::time::sleep(Duration::from_secs(lease.ttl_secs.max(1)) / RENEWALS_PER_TTL).await;
}

fn unheld(error: &RegistryError) {
    tracing::warn!(%error, "no lease: a collection may remove the content during the read");
}
