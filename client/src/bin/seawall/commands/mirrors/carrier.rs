//! The flow behind the mirrors of a registry that this process serves: `seawall copy` between the
//! other registry and its own, which is reached over HTTP as well, so that there is one code path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use seawall::copy::{self, CopiedRelease, Copy, Filter, Ledger, Manner, Pace, Pick};
use seawall::progress::{Progress, Stage};
use seawall::registry::http::Timeouts;
use seawall::registry::{HttpRegistry, Registry, RetryPolicy, Token};
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_server::app::mirrors::{Amount, Carried, Carrier, Errand, Watch};
use seawall_server::catalog::mirrors::{Direction, Mirror};

use crate::failure::Failure;

/// The carrier of `seawall serve`.
pub(crate) struct Copier;

#[async_trait::async_trait]
impl Carrier for Copier {
    async fn carry(&self, errand: Errand, watch: Arc<dyn Watch>) -> Result<Carried, String> {
        let done = carry(&errand, watch).await;
        done.map_err(|failure| failure.on_one_line())
    }
}

async fn carry(errand: &Errand, watch: Arc<dyn Watch>) -> Result<Carried, Failure> {
    let mirror = &errand.mirror;
    let own = registry(&errand.own_url, Some(errand.grant.secret()))?;
    let other = registry(&mirror.url, mirror.token.as_ref().map(|token| token.expose()))?;
    let (from, to) = match mirror.direction {
        Direction::From => (other, own),
        Direction::To => (own, other),
    };
    let known = Mutex::new(errand.channels.clone());
    let ledger = Arc::new(Known { known, watch: Arc::clone(&watch) }) as Arc<dyn Ledger>;
    let order = |dry_run, tell| Copy {
        from: from.clone(),
        to: to.clone(),
        picks: picks(mirror),
        dry_run,
        manner: Manner {
            is_standing: true,
            ledger: (!mirror.overrides_channels).then(|| Arc::clone(&ledger)),
            pace: mirror.bytes_per_sec_max.map(Pace::new),
            tell,
        },
        progress: Arc::new(Seen(Arc::clone(&watch))) as Arc<dyn Progress>,
    };
    let plan = copy::copy(&order(true, None)).await?;
    let lacking = plan.releases.iter().filter(|release| !release.already_present);
    watch.lacks(Amount { releases: lacking.count() as u64, bytes: plan.sent().stored_bytes });
    let teller = Arc::clone(&watch);
    let tell = move |release: &CopiedRelease| {
        if !release.already_present {
            teller.copied();
        }
    };
    let report = copy::copy(&order(false, Some(Arc::new(tell)))).await?;
    let mut carried = Carried { deleted: 0, left_alone: report.left_alone };
    if mirror.deletes {
        let patterns = &mirror.applications;
        let followed = copy::follow_deletions(from.as_ref(), to.as_ref(), patterns).await?;
        carried.deleted = followed.deleted;
        carried.left_alone.extend(followed.left_alone);
    }
    Ok(carried)
}

fn picks(mirror: &Mirror) -> Vec<Pick> {
    let filter = Filter { channels: mirror.channels.clone(), ..Filter::default() };
    let pick = |pattern: &_| Pick::Each(Clone::clone(pattern), filter.clone());
    mirror.applications.iter().map(pick).collect()
}

fn registry(url: &str, token: Option<&str>) -> Result<Arc<dyn Registry>, Failure> {
    let token = token.map(Token::parse).transpose();
    let token = token.map_err(|error| Failure::internal(error.to_string()))?;
    let registry = HttpRegistry::new(url, token, Timeouts::default())
        .map_err(|error| Failure::new(seawall::error::ErrorKind::InvalidInput, &error, None))?;
    Ok(Arc::new(registry.retrying(RetryPolicy::default(), |_| {})))
}

/// The moves of channels that the mirror knows.
struct Known {
    known: Mutex<BTreeMap<String, u64>>,
    watch: Arc<dyn Watch>,
}

impl Ledger for Known {
    fn known(&self, application: &ApplicationName, channel: &ChannelName) -> Option<u64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&format!("{application}:{channel}")).copied()
    }

    fn note(&self, application: &ApplicationName, channel: &ChannelName, sequence: u64) {
        let name = format!("{application}:{channel}");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(name.clone(), sequence) != Some(sequence) {
            self.watch.agreed(name, sequence);
        }
    }
}

/// The progress of a copy, for the status of the mirror.
struct Seen(Arc<dyn Watch>);

impl Progress for Seen {
    fn begin(&self, _: Stage, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn reused(&self, _: u64) {}
    fn transferred(&self, bytes: u64) {
        self.0.sent(bytes);
    }
    fn note(&self, _: &str) {}
    fn finish(&self) {}
}
