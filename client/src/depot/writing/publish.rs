//! Makes releases and channels visible: the last writes of a copy.

use seawall_api::digest::ReleaseDigest;
use seawall_api::names::{ApplicationName, ChannelName};
use seawall_api::problem::{Code, Problem};
use seawall_api::release::Release;
use seawall_api::v1::{Channel, ChannelMove, Published, ReleaseSummary};
use seawall_store::port::ObjectName;

use super::port::incomplete;
use super::stock::Stock;
use super::{Depot, Writer};
use crate::depot::documents::{
    Applications, ListedChannel, ListedDisk, ListedRelease, Releases, Sealed, Slots,
};
use crate::registry::{Expect, RegistryError};

/// The maximum number of moves that are listed of a channel.
const MOVES_MAX: usize = 1000;
const PUBLISH: &str = "publish a release";

impl Writer {
    /// Returns the document of an application of this writer's depot.
    pub(in crate::depot) async fn known(
        &self,
        depot: &Depot,
        application: &ApplicationName,
    ) -> Result<Option<Sealed<Releases>>, RegistryError> {
        depot.listed_once(&mut *self.stock.lock().await, application).await
    }
}

impl Depot {
    /// Returns the document of an application, read once in a run: nobody else writes it.
    pub(super) async fn listed_once(
        &self,
        stock: &mut Stock,
        application: &ApplicationName,
    ) -> Result<Option<Sealed<Releases>>, RegistryError> {
        if let Some(known) = stock.listed.get(application) {
            return Ok(known.clone());
        }
        let found = self.listed(application).await?;
        stock.listed.insert(application.clone(), found.clone());
        Ok(found)
    }

    /// Writes a release and the documents that list it.
    pub(super) async fn list_release(&self, release: &Release) -> Result<Published, RegistryError> {
        let writer = self.writer(PUBLISH)?;
        let mut stock = writer.stock.lock().await;
        let (digest, application) = (release.digest(), release.application());
        let listed = self.listed_once(&mut stock, application).await?;
        let (previous, mut content) = match listed {
            Some(listed) => (listed.sequence, listed.content),
            None => (0, Releases::of(application.clone(), (self.now)())),
        };
        let mut versions = content.releases.iter().map(|it| &it.summary);
        if let Some(known) = versions.find(|it| it.version == *release.version()) {
            if known.digest != digest {
                let (version, other) = (release.version(), known.digest);
                let detail = format!("{application}:{version} is {other} in the depot");
                return Err(Problem::new(Code::VersionTaken, detail).into());
            }
            // Its object may be gone, which is why the copy asks again.
            self.begin(writer, &mut stock).await?;
            let bytes = release.bytes().to_vec().into();
            writer.medium.write(&ObjectName::Release(digest).path(), bytes).await?;
            stock.is_unnamed = false;
            return Ok(Published { digest, already_present: true });
        }
        content.releases.insert(0, row(&stock, release, (self.now)())?);
        self.begin(writer, &mut stock).await?;
        let bytes = release.bytes().to_vec().into();
        writer.medium.write(&ObjectName::Release(digest).path(), bytes).await?;
        writer.check_turn().await?;
        self.write_releases((writer, &mut stock), previous, content).await?;
        stock.is_unnamed = false;
        Ok(Published { digest, already_present: false })
    }

    /// Writes the document of an application, and its row in the list of applications.
    pub(super) async fn write_releases(
        &self,
        (writer, stock): (&Writer, &mut Stock),
        previous: u64,
        mut content: Releases,
    ) -> Result<(), RegistryError> {
        let now = (self.now)();
        let expiry = writer.owner.channels_expire_in_secs;
        content.channels_expire_at_secs = expiry.map(|secs| now.saturating_add(secs));
        let (medium, id) = (writer.medium.as_ref(), &self.identity.id);
        let row = content.summary();
        let slots = Slots::<Releases>::new(id, Releases::stem(&content.application));
        let sealed = slots.write(medium, previous, content, now).await?;
        stock.has_published = true;
        stock.listed.insert(row.name.clone(), Some(sealed));

        let listed = match stock.applications.take() {
            Some(known) => known,
            None => self.listed_applications().await?,
        };
        let (previous, mut all) = match &listed {
            Some(listed) => (listed.sequence, listed.content.clone()),
            None => (0, Applications::default()),
        };
        match all.applications.binary_search_by(|it| it.name.cmp(&row.name)) {
            Ok(at) if all.applications[at] == row => {
                stock.applications = Some(listed);
                return Ok(());
            }
            Ok(at) => all.applications[at] = row,
            Err(at) => all.applications.insert(at, row),
        }
        all.applications.retain(|it| it.release_count > 0);
        let slots = Slots::<Applications>::new(id, Applications::STEM);
        stock.applications = Some(Some(slots.write(medium, previous, all, now).await?));
        Ok(())
    }

    /// Writes the move of a channel.
    pub(super) async fn list_move(
        &self,
        (application, name): (&ApplicationName, &ChannelName),
        expect: Expect,
        release: ReleaseDigest,
    ) -> Result<Channel, RegistryError> {
        let writer = self.writer("move a channel")?;
        let mut stock = writer.stock.lock().await;
        let Some(listed) = self.listed_once(&mut stock, application).await? else {
            return Err(self.no_such(&format!("application {application}")));
        };
        let (previous, mut content) = (listed.sequence, listed.content);
        let mut releases = content.releases.iter().map(|it| &it.summary);
        let Some(target) = releases.find(|it| it.digest == release) else {
            return Err(self.no_such(&format!("release {application}@{release}")));
        };
        let version = target.version.clone();
        let found = content.channels.binary_search_by(|it| it.channel.name.cmp(name));
        let sequence = found.map_or(0, |at| content.channels[at].channel.sequence);
        let wanted = match expect {
            Expect::New => 0,
            Expect::Sequence(sequence) => sequence,
        };
        if sequence != wanted {
            let detail = format!("channel {application}:{name} was moved {sequence} times");
            return Err(Problem::new(Code::PreconditionFailed, detail).into());
        }
        let (sequence, moved_at_secs) = (sequence.saturating_add(1), (self.now)());
        let name = name.clone();
        let channel = Channel { name, release, version: version.clone(), sequence, moved_at_secs };
        let moved_by = writer.owner.mirror.clone();
        let step = ChannelMove { sequence, release, version, moved_at_secs, moved_by };
        match found {
            Ok(at) => {
                content.channels[at].channel = channel.clone();
                content.channels[at].moves.insert(0, step);
                content.channels[at].moves.truncate(MOVES_MAX);
            }
            Err(at) => {
                let listed = ListedChannel { channel: channel.clone(), moves: vec![step] };
                content.channels.insert(at, listed);
            }
        }
        self.begin(writer, &mut stock).await?;
        if !stock.has_published {
            writer.check_turn().await?;
        }
        self.write_releases((writer, &mut stock), previous, content).await?;
        Ok(channel)
    }
}

/// Returns the row of a release whose content is in the depot.
fn row(stock: &Stock, release: &Release, now_secs: u64) -> Result<ListedRelease, RegistryError> {
    let mut disks = Vec::new();
    for (_, disk) in release.disks() {
        let data_bytes = stock.indexes.get(&disk.index).copied();
        let lacks = || incomplete(format!("index {} is not in the depot", disk.index));
        disks.push(ListedDisk { index: disk.index, data_bytes: data_bytes.ok_or_else(lacks)? });
    }
    let descriptors = release.machines().iter().filter_map(|it| it.descriptor.as_ref());
    let descriptors: Vec<_> = descriptors.map(|it| it.digest).collect();
    if let Some(lost) = descriptors.iter().find(|it| !stock.descriptors.contains(it)) {
        return Err(incomplete(format!("descriptor {lost} is not in the depot")));
    }
    let summary = ReleaseSummary {
        version: release.version().clone(),
        digest: release.digest(),
        published_at_secs: now_secs,
        published_by: String::new(),
        machines: release.machines().iter().map(|it| it.name.clone()).collect(),
        disk_bytes: release.disks().map(|(_, disk)| disk.len).sum(),
        data_bytes: disks.iter().map(|disk| disk.data_bytes).sum(),
        channels: Vec::new(),
        lost: Vec::new(),
        recent_on: Vec::new(),
        pins: Vec::new(),
        host_count: 0,
    };
    Ok(ListedRelease { summary, disks, descriptors })
}
