//! A relocation from its beginning to its end. The order of its steps is in the parent module.

use std::path::PathBuf;
use std::sync::Arc;

use super::markers::{self, Headed};
use super::source::Source;
use super::{CLAIM_TIME_MAX, Home, Relocate, Relocated, RelocationPlan, absolute, claimed};
use crate::app::maintenance::fsck::FsckStatus;
use crate::app::maintenance::rebuild::Damage;
use crate::app::maintenance::relocate::{self, Amount, Copying, Stage, Watch};
use crate::app::{AppError, Registry};
use crate::catalog::check::Class;
use crate::catalog::engine::{Claim, Export};
use crate::catalog::relocation::{Closing, Places, RelocationState};
use crate::catalog::{Catalog, CatalogError, RegistryId, transfer};
use crate::config::Config;
use crate::host::Host as _;
use crate::startup::catalog::New;
use crate::startup::store::{OpenStore, block_on, open_any};
use crate::startup::{
    CATALOG_FILE, CatalogAt, Clocked, Machine, StartError, StoreAt, catalog, claim, folder,
    settings,
};

/// A relocation.
pub(super) struct Journey {
    data_dir: PathBuf,
    source: Source,
    to: Home,
    to_store: OpenStore,
    places: (Places, Places),
    /// True if the registry already has its catalog at the target.
    has_arrived: bool,
}

impl Journey {
    /// Opens source and target, and checks that the one can be moved to the other. Changes
    /// nothing but the data directory.
    pub(super) fn begin(order: &Relocate) -> Result<Self, StartError> {
        let data_dir = absolute(&order.data_dir);
        let Relocate { from, to, .. } = order;
        let places = (from.places(&data_dir), to.places(&data_dir));
        if from == to || places.0 == places.1 {
            return Err(StartError::SamePlace { place: places.1.to_string() });
        }
        let source = Source::open(&data_dir, from)?;
        if let Some(found) = block_on(source.relocation())?? {
            match found {
                (RelocationState::Open, _) => {}
                (_, to) if to == places.1 => {}
                (RelocationState::Moving, to) => return Err(StartError::MovingElsewhere { to }),
                (RelocationState::Moved, to) => return Err(StartError::Moved { to }),
            }
        }
        folder::prepare_scratch(&data_dir)?;
        let to_store = open_any(&data_dir, &to.store)?;
        let mut journey =
            Self { data_dir, source, to: to.clone(), to_store, places, has_arrived: false };
        block_on(journey.check_store())??;
        journey.has_arrived = journey.check_catalog()?;
        Ok(journey)
    }

    fn store_stays(&self) -> bool {
        match (&self.source.home.store, &self.to.store) {
            // However it is read.
            (StoreAt::Bucket(one), StoreAt::Bucket(other)) => {
                one.address == other.address && one.endpoint == other.endpoint
            }
            (one, other) => one == other,
        }
    }

    fn catalog_stays(&self) -> bool {
        self.source.home.catalog == self.to.catalog
    }

    fn own(&self) -> Option<RegistryId> {
        self.source.identity.as_ref().map(|identity| identity.registry)
    }

    /// Fails unless the target store is empty, or this registry's: half filled, or left before.
    async fn check_store(&self) -> Result<(), StartError> {
        if self.store_stays() {
            return Ok(());
        }
        let place = || self.places.1.store.clone();
        let own = self.own();
        let owner = claim::owner(&self.to_store).await?;
        let arriving = Headed::arriving(&self.to_store).await?;
        let left = Headed::left(&self.to_store).await?;
        let others = [owner, arriving.as_ref().map(|it| it.registry)];
        let others = others.into_iter().chain([left.as_ref().map(|it| it.registry)]).flatten();
        if let Some(owner) = others.into_iter().find(|id| Some(*id) != own) {
            return Err(StartError::Foreign { store: place(), owner, own });
        }
        let occupied = |why: &str| StartError::Occupied { place: place(), why: why.to_owned() };
        let is_ours = arriving.is_some() || left.is_some();
        let has_left = self.has_left().await?;
        if owner.is_some() && !is_ours && !has_left {
            return Err(occupied("it is the store of this registry, under another address"));
        }
        if !is_ours && !has_left && !relocate::is_empty(&*self.to_store.port()).await? {
            return Err(occupied("it holds objects of an unknown registry"));
        }
        Ok(())
    }

    /// Returns whether the source was left, so that the target may be complete.
    async fn has_left(&self) -> Result<bool, StartError> {
        let found = self.source.relocation().await?;
        let is_rebound = self.catalog_stays() && self.is_rebound();
        Ok(is_rebound || found.is_some_and(|(state, _)| state == RelocationState::Moved))
    }

    /// Returns whether the catalog already names the target store.
    fn is_rebound(&self) -> bool {
        let bound_to = self.source.identity.as_ref().map(|identity| identity.store.clone());
        !self.store_stays() && bound_to == Some(self.store_address())
    }

    /// Returns the address that the catalog keeps of the target store.
    fn store_address(&self) -> Option<String> {
        (self.to.store != StoreAt::Inside).then(|| self.to.store.to_string())
    }

    /// Fails unless the target has no catalog, or one that this registry left before. Returns true
    /// if the registry has arrived there.
    fn check_catalog(&self) -> Result<bool, StartError> {
        if self.catalog_stays() {
            return Ok(self.is_rebound());
        }
        let file = |at: &CatalogAt| match at {
            CatalogAt::Inside => Some(self.data_dir.join(CATALOG_FILE)),
            CatalogAt::File(path) => Some(path.clone()),
            CatalogAt::Postgres(_) => None,
        };
        let occupied =
            |why: String| StartError::Occupied { place: self.places.1.catalog.clone(), why };
        if let (Some(from), Some(to)) = (file(&self.source.home.catalog), file(&self.to.catalog))
            && from.parent() == to.parent()
        {
            return Err(occupied("its folder has the present catalog".to_owned()));
        }
        let Some(there) = catalog::peek(&self.data_dir, &self.to.catalog)? else {
            return Ok(false);
        };
        let read = async {
            let identity = there.identity().await?;
            Ok::<_, CatalogError>((identity, there.relocation().await?))
        };
        let unusable = |error| catalog::unusable(&self.data_dir, &self.to.catalog, error);
        let (identity, relocation) = block_on(read)?.map_err(unusable)?;
        let state = relocation.map_or(RelocationState::Open, |relocation| relocation.state);
        let is_own = identity.is_some_and(|identity| Some(identity.registry) == self.own());
        match (is_own, state) {
            (true, RelocationState::Moved) => Ok(false),
            (true, RelocationState::Open) if block_on(self.has_left())?? => Ok(true),
            (true, _) => {
                Err(occupied("it is a catalog of this registry that is in use".to_owned()))
            }
            (false, _) => Err(occupied("it holds the catalog of another registry".to_owned())),
        }
    }

    fn copying(&self) -> Copying {
        Copying { from: self.source.store.port(), to: self.to_store.port() }
    }

    /// Returns the extent of the relocation.
    pub(super) fn plan(self) -> Result<RelocationPlan, StartError> {
        let (from, to) = self.places.clone();
        let (mut to_copy, mut present) = (Amount::default(), Amount::default());
        if !self.store_stays() {
            let copying = self.copying();
            let plan = block_on(copying.plan(&self.source.catalog))??;
            (to_copy, present) = (plan.to_copy, plan.present);
        }
        let rows = match self.catalog_stays() || self.has_arrived {
            true => Vec::new(),
            false => {
                let counted = self.export().and_then(transfer::count);
                counted.map_err(|error| self.source.failed(error))?.counts().collect()
            }
        };
        Ok(RelocationPlan { from, to, to_copy, present, rows })
    }

    fn export(&self) -> Result<Export, CatalogError> {
        self.source.catalog.export()
    }

    /// Moves the registry.
    pub(super) fn go(mut self, watch: &dyn Watch) -> Result<Relocated, StartError> {
        let (from, to) = self.places.clone();
        if self.has_arrived
            && let Some(registry) = self.own()
        {
            let already_there = block_on(self.tidy_up(registry))??;
            return Ok(Relocated {
                registry,
                from,
                to,
                already_there,
                copied: Amount::default(),
                present: Amount::default(),
                healed: 0,
                rows: Vec::new(),
                damage: Vec::new(),
                aside: None,
                options: self.to.options(),
            });
        }
        let (registry, claim) = block_on(self.close())??;
        self.to_store.prepare()?;
        let headed = Headed { registry, to: to.clone() };
        block_on(headed.announce(&self.to_store))??;
        if !self.store_stays() {
            if self.to.store != StoreAt::Inside {
                block_on(claim::mark(&self.to_store, registry))??;
            }
            block_on(markers::returned(&self.to_store))??;
        }
        let (present, copied) = match self.store_stays() {
            true => Default::default(),
            false => {
                let copying = self.copying();
                block_on(async {
                    let plan = copying.plan(&self.source.catalog).await?;
                    let present = plan.present;
                    Ok::<_, AppError>((present, copying.copy(plan, watch).await?))
                })??
            }
        };
        let mut done = Relocated {
            registry,
            from,
            to,
            already_there: false,
            copied: copied.copied,
            present,
            healed: 0,
            rows: Vec::new(),
            damage: copied.damage,
            aside: None,
            options: self.to.options(),
        };
        match self.catalog_stays() {
            true => self.rebind(&headed, &claim, &mut done, watch)?,
            false => self.move_catalog(&headed, &claim, &mut done, watch)?,
        }
        Ok(done)
    }

    /// Closes the source, and claims it.
    async fn close(&mut self) -> Result<(RegistryId, Claim), StartError> {
        let random = Machine.random();
        let random = random.ok_or(StartError::Machine("the system provides no random bytes"))?;
        let registry = match self.source.relocation().await? {
            // The source was left, and the target has no catalog yet.
            Some((RelocationState::Moved, to)) => self.own().ok_or(StartError::Moved { to })?,
            _ => {
                let (to, id) = (self.places.1.clone(), RegistryId::from_bytes(random));
                let closing = self.source.catalog.close(to, id, Machine.now_secs()).await;
                match closing.map_err(|error| self.source.failed(error))? {
                    Closing::Closed(registry) => registry,
                    Closing::Other(other) => {
                        return Err(StartError::MovingElsewhere { to: other.to });
                    }
                }
            }
        };
        Ok((registry, claimed(&self.source.catalog, CLAIM_TIME_MAX).await?))
    }

    /// Moves the rows, checks the target, and makes it the registry.
    fn move_catalog(
        &self,
        headed: &Headed,
        claim: &Claim,
        done: &mut Relocated,
        watch: &dyn Watch,
    ) -> Result<(), StartError> {
        let unusable = |error| catalog::unusable(&self.data_dir, &self.to.catalog, error);
        let new = New::begin(&self.data_dir, &self.to.catalog)?;
        watch.begin(Stage::Rows, None);
        let intake = new.intake().map_err(unusable)?;
        let advance = |bytes| watch.advance(bytes);
        let store = self.store_address();
        let export = self.export().map_err(|error| self.source.failed(error))?;
        let moved = transfer::send(export, &*intake, store.as_deref(), &advance);
        let moved = moved.map_err(unusable)?;
        intake.commit().map_err(unusable)?;
        let there = new.catalog().export().map_err(unusable)?;
        if let Some(table) = moved.differs(there).map_err(unusable)? {
            return Err(StartError::RowsDiffer { table });
        }
        done.rows = moved.counts().collect();
        self.check(new.catalog().clone(), done, watch)?;
        block_on(async {
            if !claim.is_held().await {
                return Err(StartError::Claimed);
            }
            if !self.store_stays() {
                headed.leave(&self.source.store).await?;
            }
            if !matches!(self.source.relocation().await?, Some((RelocationState::Moved, _))) {
                let left = self.source.catalog.leave(Machine.now_secs()).await;
                left.map_err(|error| self.source.failed(error))?;
            }
            Ok(())
        })??;
        done.aside = new.finish().map_err(unusable)?;
        block_on(self.tidy_up(headed.registry))??;
        Ok(())
    }

    /// Binds the catalog to the new store, and checks the registry there.
    fn rebind(
        &self,
        headed: &Headed,
        claim: &Claim,
        done: &mut Relocated,
        watch: &dyn Watch,
    ) -> Result<(), StartError> {
        block_on(async {
            if !claim.is_held().await {
                return Err(StartError::Claimed);
            }
            headed.leave(&self.source.store).await?;
            let rebound = self.source.catalog.rebind(self.store_address(), Machine.now_secs());
            rebound.await.map_err(|error| self.source.failed(error))?;
            self.tidy_up(headed.registry).await?;
            Ok(())
        })??;
        // Opened again, in the new epoch.
        let catalog = catalog::peek(&self.data_dir, &self.to.catalog)?;
        let missing = || StartError::NoRegistry { path: self.data_dir.clone() };
        self.check(catalog.ok_or_else(missing)?, done, watch)
    }

    /// Checks the target. Copies again what is wrong there and sound in the source.
    fn check(
        &self,
        catalog: Catalog,
        done: &mut Relocated,
        watch: &dyn Watch,
    ) -> Result<(), StartError> {
        let config = Config { store: self.to.store.clone(), ..Config::new(&self.data_dir) };
        let port = self.to_store.port();
        let host = Arc::new(Clocked(catalog.clone()));
        let registry = Registry::new(port, catalog, host, settings(&config));
        let mut status = block_on(relocate::check(&registry, watch))??;
        if !self.store_stays() {
            done.healed = block_on(self.copying().heal(&status.found.list))??;
            if done.healed > 0 {
                status = block_on(relocate::check(&registry, watch))??;
            }
        }
        report(&status, &mut done.damage);
        Ok(())
    }

    /// Writes what leads to the new home, and removes the mark of the target. Returns false if
    /// there was one.
    async fn tidy_up(&self, registry: RegistryId) -> Result<bool, StartError> {
        match self.to.catalog {
            CatalogAt::Inside => catalog::forget_place(&self.data_dir)?,
            _ => catalog::record_place(&self.data_dir, &self.to.catalog)?,
        }
        if !self.store_stays() && Headed::left(&self.source.store).await?.is_none() {
            let headed = Headed { registry, to: self.places.1.clone() };
            headed.leave(&self.source.store).await?;
        }
        let was_marked = Headed::arriving(&self.to_store).await?.is_some();
        markers::arrived(&self.to_store).await?;
        Ok(!was_marked)
    }
}

/// Adds the damage that a check found to the damage that is known.
fn report(status: &FsckStatus, damage: &mut Vec<Damage>) {
    let found = status.found.list.iter().filter(|finding| finding.class == Class::Damage);
    for finding in found {
        if !damage.iter().any(|known| known.object == finding.object) {
            damage.push(Damage { object: finding.object.clone(), what: finding.what.clone() });
        }
    }
}
