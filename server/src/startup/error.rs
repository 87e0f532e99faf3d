//! The reasons a registry cannot start, and the operator's next steps.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use seawall_store::backend::s3::InvalidSettings;
use seawall_store::error::StoreError;

use crate::app::AppError;
use crate::catalog::relocation::Places;
use crate::catalog::{CatalogError, RegistryId};
use crate::own_file::Suspect;
use crate::tokens::InvalidTokens;
use crate::upstream::InvalidUpstream;

/// The reason a registry cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The registry would serve the network without authentication.
    #[error("refusing to listen on {0} without authentication")]
    Exposed(SocketAddr),
    /// The token file cannot be used.
    #[error("cannot use the tokens")]
    Tokens(#[from] InvalidTokens),
    /// The data directory cannot be used.
    #[error("cannot use data directory {}", path.display())]
    DataDir {
        /// The data directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The directory holds no registry, and creating one was not permitted.
    #[error("there is no registry in {}", path.display())]
    NoRegistry {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory holds something other than a registry.
    #[error("{} is not empty and holds no registry", path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
    },
    /// Another user may have put something into the data directory that leads elsewhere.
    #[error("refusing to use {}", path.display())]
    Suspect {
        /// The suspect file or folder.
        path: PathBuf,
        /// The reason for suspicion.
        #[source]
        why: Suspect,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The address of an upstream is none.
    #[error("cannot be an edge")]
    Upstream(#[from] InvalidUpstream),
    /// The cache cannot be used.
    #[error("cannot use the cache")]
    Cache(#[source] StoreError),
    /// The settings of the bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] InvalidSettings),
    /// The data directory has objects of its own, and another store was named.
    #[error("the objects of this registry are in {}, not in {named}", path.display())]
    OwnStore {
        /// The folder of the store in the data directory.
        path: PathBuf,
        /// The store that was named.
        named: String,
    },
    /// The store belongs to another registry.
    #[error(
        "{store} belongs to registry {owner}{}",
        own.map(|own| format!(", and the catalog to registry {own}")).unwrap_or_default()
    )]
    Foreign {
        /// The address of the store.
        store: String,
        /// The registry that the store belongs to.
        owner: RegistryId,
        /// The registry of the catalog; `None` for a new one.
        own: Option<RegistryId>,
    },
    /// The store bears no id, and the catalog is bound to a store.
    #[error("{store} is not the store of registry {own}: it has no object `registry.json`")]
    Unclaimed {
        /// The address of the store.
        store: String,
        /// The registry of the catalog.
        own: RegistryId,
    },
    /// The store is not in the data directory.
    #[error("the objects of this registry are in {store}, not in the data directory")]
    StoreElsewhere {
        /// The address of the store.
        store: String,
    },
    /// The catalog cannot be opened.
    #[error("cannot open the catalog at {}", path.display())]
    Catalog {
        /// The path of the catalog.
        path: PathBuf,
        /// The cause.
        source: CatalogError,
    },
    /// The database of the catalog cannot be used.
    #[error("cannot open the catalog in {address}")]
    Database {
        /// The address of the database, without a password.
        address: String,
        /// The cause.
        source: CatalogError,
    },
    /// The catalog of the directory lies elsewhere.
    #[error("the catalog of this registry is {place}")]
    CatalogElsewhere {
        /// The place of the catalog.
        place: String,
    },
    /// The registry was moved.
    #[error("this registry was moved to {to}")]
    Moved {
        /// The places it was moved to.
        to: Places,
    },
    /// The place holds a part of a registry that is being moved there.
    #[error("a registry is being moved to {place}, and not all of it has arrived")]
    Arriving {
        /// The place.
        place: String,
    },
    /// The registry is being moved, but not to the named place.
    #[error("this registry is being moved to {to}")]
    MovingElsewhere {
        /// The target of the relocation that was begun.
        to: Places,
    },
    /// A registry is to be moved to a place where it cannot arrive.
    #[error("cannot move the registry to {place}: {why}")]
    Occupied {
        /// The place.
        place: String,
        /// The reason.
        why: String,
    },
    /// Source and target of a relocation are the same.
    #[error("the registry is already at {place}")]
    SamePlace {
        /// The place.
        place: String,
    },
    /// Another process collects or moves the registry.
    #[error("another process is moving this registry, or collects its garbage")]
    Claimed,
    /// The catalog has no relocation to give up.
    #[error("this registry is not being moved")]
    NotMoving,
    /// The rows of a table changed on the way.
    #[error("the rows of the table {table} are not the same in the new catalog")]
    RowsDiffer {
        /// The table.
        table: &'static str,
    },
    /// The catalog was lost and cannot be rebuilt.
    #[error("cannot rebuild the catalog from the store")]
    Rebuild(#[from] AppError),
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The machine provides no thread or no random bytes.
    #[error("cannot start: {0}")]
    Machine(&'static str),
}

impl StartError {
    /// Returns the operator's next step.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Exposed(_) => Some(
                "give it tokens: `--tokens` accepts those of `seawall token create`, and \
                 `--token-file FILE` a `NAME ROLE TOKEN` on each line; or listen on 127.0.0.1"
                    .to_owned(),
            ),
            Self::Tokens(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            Self::Cache(error) => error.remedy().or_else(|| {
                Some("name a folder that this user may write to: --cache DIR:SIZE".to_owned())
            }),
            Self::Bucket(error) => Some(error.remedy().to_owned()),
            Self::Foreign { store, own: None, .. } => Some(format!(
                "name another --store for a new registry; if the catalog of this one is lost, run \
                 `seawall recover DATA --store {store}`, or start with --adopt-store to rebuild it \
                 in the database of --catalog"
            )),
            Self::Foreign { .. } => {
                Some("name the store of this registry in --store, or the other's data directory".to_owned())
            }
            Self::Unclaimed { .. } => Some(
                "check --store; if the objects were copied to a new place, copy `registry.json`, too"
                    .to_owned(),
            ),
            Self::StoreElsewhere { store } => {
                Some(format!("run `seawall serve DATA --store {store}`, and use its address"))
            }
            Self::OwnStore { .. } => Some(
                "leave out --store, or name another data directory for a new registry".to_owned(),
            ),
            Self::Catalog { source, .. } | Self::Database { source, .. } => source.remedy(),
            Self::CatalogElsewhere { place } => Some(format!(
                "run `seawall serve DATA --catalog '{place}'`, and name the registry by its address; \
                 for `seawall relocate` it is --from-catalog"
            )),
            Self::Rebuild(error) => error.remedy(),
            Self::Listen { .. } => Some("choose another address or port".to_owned()),
            Self::NoRegistry { path } => Some(format!(
                "check the path; `seawall serve {}`, or a push to it, creates a registry there",
                path.display()
            )),
            Self::Suspect { path, why } => Some(why.remedy(path)),
            Self::NotEmpty { .. } => {
                Some("name an empty directory, or one that does not exist yet".to_owned())
            }
            other => other.remedy_of_move(),
        }
    }

    /// Returns the next step of a relocation.
    fn remedy_of_move(&self) -> Option<String> {
        match self {
            Self::Moved { to } => Some(format!(
                "name the registry by its new address; `seawall serve` starts it there, with --store \
                 {} and --catalog {} for what is not in its data directory. What is left here may \
                 be deleted",
                to.store, to.catalog
            )),
            Self::Arriving { .. } => Some(
                "run the same `seawall relocate` again: it goes on where it stopped".to_owned(),
            ),
            Self::MovingElsewhere { .. } => Some(
                "complete that relocation with the same options, or give it up: \
                 `seawall relocate DATA --abort`"
                    .to_owned(),
            ),
            Self::Occupied { .. } => {
                Some("name an empty place, or empty this one if nothing needs it".to_owned())
            }
            Self::SamePlace { .. } => {
                Some("name another --store, another --catalog, or both".to_owned())
            }
            Self::Claimed => Some("wait until it has ended, then run the command again".to_owned()),
            Self::NotMoving => {
                Some("nothing has to be given up: `seawall serve` serves it".to_owned())
            }
            Self::RowsDiffer { .. } => {
                Some("run the command again; if it says so again, report it".to_owned())
            }
            _ => None,
        }
    }
}
