//! The copy flow: releases from one place to another, as they are.
//!
//! 1. **Select** (`select.rs`): from what was asked for to releases and channels, oldest first.
//! 2. **Compare** (`lacking.rs`): which leaves and chunks of a release the target lacks, batch by
//!    batch, in few questions.
//! 3. **Move** (`frames.rs`): frames are read in the order of the source's packs and packed again
//!    unchanged. Nothing is compressed or decompressed on the way.
//! 4. **Name** (`release.rs`, `channels.rs`): leaves, indexes, descriptors, then the document, then
//!    the channels.
//!
//! # Invariants
//!
//! 1. Content reaches the target before the names that refer to it. A release becomes visible as
//!    one, and a channel moves after its release is visible.
//! 2. Source and target are read under a lease each, so a collection in either cannot remove what
//!    the copy relies on.
//! 3. The target proves what it stores. If it refuses a pack, each frame of the pack is proven here
//!    and read once more from the source, and the error names the damaged chunk.
//! 4. A copy that ends early leaves chunks that the next one finds, and no names.

mod channels;
mod deletions;
mod error;
mod frames;
mod lacking;
mod manner;
mod present;
mod release;
mod report;
mod select;

use std::collections::HashSet;
use std::sync::Arc;

use seawall_api::names::{ApplicationName, ApplicationPattern};
use seawall_api::reference::Selector;

pub use channels::{Moved, MovedChannel};
pub use deletions::{Followed, follow_deletions};
pub use error::CopyError;
pub use manner::{Ledger, Manner, Pace};
pub use report::{Amount, CopiedRelease, CopyReport};
pub use select::{Filter, VersionPattern, VersionPatternError};

use crate::progress::{Progress, Stage};
use crate::registry::{Reading, Writing};

/// Releases to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pick {
    /// One release. A channel that names it is copied, too.
    One(ApplicationName, Selector),
    /// The releases of some applications that pass a filter, and the channels that point at them.
    Each(ApplicationPattern, Filter),
}

/// An order to copy releases.
pub struct Copy {
    /// The source.
    pub from: Arc<dyn Reading>,
    /// The target.
    pub to: Arc<dyn Writing>,
    /// The releases.
    pub picks: Vec<Pick>,
    /// True to compare only: nothing is written.
    pub dry_run: bool,
    /// The manner.
    pub manner: Manner,
    /// The progress sink.
    pub progress: Arc<dyn Progress>,
}

/// Copies the releases that the target lacks, then moves its channels. With `dry_run`, returns what
/// a copy would send and move now.
///
/// # Errors
/// Fails at the first release that cannot be copied. Earlier ones stay copied.
pub async fn copy(copy: &Copy) -> Result<CopyReport, CopyError> {
    let selected = select::releases(copy).await?;
    copy.progress.begin(Stage::Copy, None);
    let mut report = CopyReport { left_alone: selected.left_alone, ..CopyReport::default() };
    let mut planned = release::Planned::default();
    let mut present = present::Present::default();
    let mut visible = HashSet::new();
    for each in &selected.releases {
        let copied = match present.has(copy, each).await? {
            true => CopiedRelease::already_there(each),
            false => match release::copy(copy, each, &mut planned).await {
                Err(error) if copy.manner.leaves_alone(&error) => {
                    report.left_alone.extend(manner::remark(&error));
                    continue;
                }
                copied => copied?,
            },
        };
        copy.manner.tell(&copied);
        visible.insert((&each.application, each.digest));
        report.releases.push(copied);
    }
    for channel in selected.channels {
        if !visible.contains(&(&channel.application, channel.release)) {
            report.left_alone.push(channel.without_release());
            continue;
        }
        match channels::copy(copy, channel).await {
            Err(error) if copy.manner.leaves_alone(&error) => {
                report.left_alone.extend(manner::remark(&error));
            }
            moved => report.channels.push(moved?),
        }
    }
    copy.progress.finish();
    Ok(report)
}
