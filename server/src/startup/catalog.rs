//! The place of a registry's catalog, and how it is opened.
//!
//! A directory whose catalog lies elsewhere has a file that names the place. Without the place, the
//! directory is not opened: its store would be given a second catalog.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CATALOG_FILE, StartError};
use crate::catalog::postgres::{self, Address};
use crate::catalog::sqlite::{self, Found};
use crate::catalog::{Catalog, CatalogError};

/// The file in the data directory that names the place of a catalog elsewhere.
pub(super) const PLACE_FILE: &str = "catalog.place";

/// The place of the catalog of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CatalogAt {
    /// A file in the data directory.
    Inside,
    /// A file elsewhere.
    File(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<Address>),
}

impl CatalogAt {
    /// Returns the place as an operator writes it, without a password.
    fn shown(&self) -> Option<String> {
        match self {
            Self::Inside => None,
            Self::File(path) => Some(format!("sqlite:{}", path.display())),
            Self::Postgres(address) => Some(address.to_string()),
        }
    }
}

/// Opens the catalog. A new one is filled by `fill` before it is served.
pub(super) fn open(
    data_dir: &Path,
    at: &CatalogAt,
    fill: impl FnOnce(&Catalog) -> Result<(), StartError>,
) -> Result<Catalog, StartError> {
    check_place(data_dir, at)?;
    let catalog = match at {
        CatalogAt::Inside => in_file(&data_dir.join(CATALOG_FILE), fill)?,
        CatalogAt::File(path) => in_file(path, fill)?,
        CatalogAt::Postgres(address) => {
            let unusable = |source| database(address, source);
            let folder = data_dir.to_owned();
            let copies = Arc::new(move || sqlite::blank(&folder));
            match postgres::find(address, copies).map_err(unusable)? {
                postgres::Found::Catalog(catalog) => catalog,
                postgres::Found::Nothing(scratch) => {
                    fill(scratch.catalog())?;
                    scratch.finish().map_err(unusable)?
                }
            }
        }
    };
    record_place(data_dir, at)?;
    Ok(catalog)
}

/// Makes the error of a catalog that cannot be used.
pub(super) fn unusable(data_dir: &Path, at: &CatalogAt, source: CatalogError) -> StartError {
    let path = match at {
        CatalogAt::Inside => data_dir.join(CATALOG_FILE),
        CatalogAt::File(path) => path.clone(),
        CatalogAt::Postgres(address) => return database(address, source),
    };
    StartError::Catalog { path, source }
}

fn database(address: &Address, source: CatalogError) -> StartError {
    StartError::Database { address: address.to_string(), source }
}

fn in_file(
    path: &Path,
    fill: impl FnOnce(&Catalog) -> Result<(), StartError>,
) -> Result<Catalog, StartError> {
    let unusable = |source| StartError::Catalog { path: path.to_owned(), source };
    match sqlite::find(path).map_err(unusable)? {
        Found::Catalog(catalog) => Ok(catalog),
        Found::Nothing(scratch) => {
            fill(scratch.catalog())?;
            scratch.finish().map_err(unusable)
        }
    }
}

/// Fails if the catalog of the directory lies elsewhere than `at`.
pub(super) fn check_place(data_dir: &Path, at: &CatalogAt) -> Result<(), StartError> {
    let unreadable = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    match fs::read_to_string(data_dir.join(PLACE_FILE)) {
        Ok(place) if at.shown().is_none() => {
            Err(StartError::CatalogElsewhere { place: place.trim_end().to_owned() })
        }
        // Another host, port or user may lead to the same database.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unreadable(error)),
    }
}

fn record_place(data_dir: &Path, at: &CatalogAt) -> Result<(), StartError> {
    let Some(place) = at.shown() else { return Ok(()) };
    let path = data_dir.join(PLACE_FILE);
    let text = format!("{place}\n");
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let written = super::make_private(&path).and_then(|()| fs::write(&path, text));
    written.map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })
}
