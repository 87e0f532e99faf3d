//! Hold: what a flow reads is not collected meanwhile, even if its release is deleted.
//!
//! A convenience, not a condition: a registry whose disk is full, or a mirror that only reads,
//! opens no lease and serves all the same. What a flow reads is proven either way.

use std::sync::Arc;
use std::time::Duration;

use seawall_api::names::ApplicationName;
use seawall_api::v1::{Lease, LeasePurpose};

use crate::registry::{Registry, RegistryError};

/// A lease is renewed this often while it holds.
const RENEWALS_PER_TTL: u32 = 4;

/// Does `work`, which reads releases of `application`, under a lease. The lease is there before
/// the work begins, so what the work resolves stays.
///
/// # Errors
/// Those of the work.
pub async fn during<T, E>(
    registry: &Arc<dyn Registry>,
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
                // It ended while this host slept, say: from now on another holds what is left.
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
    // It ends by itself, too.
    let _ = registry.end_lease(&lease).await;
    outcome
}

/// Keeps `lease` alive while `work` is done, however long that asks nothing of the registry. When
/// it ends all the same, the registry tells the work.
pub async fn renewing<T>(
    registry: &Arc<dyn Registry>,
    lease: &Lease,
    work: impl Future<Output = T>,
) -> T {
    let renew = async {
        loop {
            pause(lease).await;
            if let Err(error) = registry.renew_lease(lease).await {
                tracing::warn!(%error, "cannot renew the lease of what is sent");
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
    tracing::warn!(%error, "no lease: what is read may be collected meanwhile");
}
