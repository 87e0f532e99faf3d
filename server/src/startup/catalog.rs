//! The place of a registry's catalog, and how it is opened.
//!
//! A directory whose catalog lies elsewhere has a file that names the place. Without the place, the
//! directory is not opened: its store would be given a second catalog.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CATALOG_FILE, StartError};
use crate::catalog::engine::{Intake, NewBlank};
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
    /// Returns the place as an operator writes it, without a password; `None` for the data
    /// directory.
    pub(super) fn shown(&self) -> Option<String> {
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
            match postgres::find(address, copies_in(data_dir)).map_err(unusable)? {
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

/// Opens the catalog if there is one. Makes nothing.
pub(super) fn peek(data_dir: &Path, at: &CatalogAt) -> Result<Option<Catalog>, StartError> {
    let found = match at {
        CatalogAt::Inside => sqlite::peek(&data_dir.join(CATALOG_FILE)),
        CatalogAt::File(path) => sqlite::peek(path),
        CatalogAt::Postgres(address) => postgres::peek(address, copies_in(data_dir)),
    };
    found.map_err(|source| unusable(data_dir, at, source))
}

/// The maker of the files that a catalog in a database is copied to.
fn copies_in(data_dir: &Path) -> NewBlank {
    let folder = data_dir.to_owned();
    Arc::new(move || sqlite::blank(&folder))
}

/// A catalog under construction, to take the place of the present one if there is one.
pub(super) enum New {
    File(sqlite::Scratch),
    Database(Box<postgres::Anew>),
}

impl New {
    /// Begins a catalog.
    ///
    /// # Errors
    /// If a registry serves the present file, or the catalog cannot be made.
    pub(super) fn begin(data_dir: &Path, at: &CatalogAt) -> Result<Self, StartError> {
        let begun = match at {
            CatalogAt::Inside => sqlite::begin_anew(&data_dir.join(CATALOG_FILE)).map(Self::File),
            CatalogAt::File(path) => sqlite::begin_anew(path).map(Self::File),
            CatalogAt::Postgres(address) => postgres::begin_anew(address, copies_in(data_dir))
                .map(|anew| Self::Database(Box::new(anew))),
        };
        begun.map_err(|source| unusable(data_dir, at, source))
    }

    /// Returns the catalog to fill.
    pub(super) fn catalog(&self) -> &Catalog {
        match self {
            Self::File(scratch) => scratch.catalog(),
            Self::Database(anew) => anew.catalog(),
        }
    }

    /// Begins to fill it with all rows of another catalog.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub(super) fn intake(&self) -> Result<Box<dyn Intake>, CatalogError> {
        match self {
            Self::File(scratch) => scratch.intake(),
            Self::Database(anew) => anew.intake(),
        }
    }

    /// Puts the catalog in its place. Returns the place of the replaced one, in words.
    ///
    /// # Errors
    /// If the catalog cannot be put there.
    pub(super) fn finish(self) -> Result<Option<String>, CatalogError> {
        match self {
            Self::File(scratch) => {
                let aside = scratch.set_aside()?;
                scratch.finish()?;
                Ok(aside.map(|path| path.display().to_string()))
            }
            Self::Database(anew) => {
                let (_, aside) = anew.finish()?;
                Ok(aside.map(|schema| format!("the schema {schema}")))
            }
        }
    }
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

/// Writes the place of a catalog elsewhere into the data directory.
pub(super) fn record_place(data_dir: &Path, at: &CatalogAt) -> Result<(), StartError> {
    let path = data_dir.join(PLACE_FILE);
    let Some(place) = at.shown() else { return Ok(()) };
    let text = format!("{place}\n");
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let written = super::make_private(&path).and_then(|()| fs::write(&path, text));
    written.map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })
}

/// Removes the note of a catalog elsewhere from the data directory, whose own catalog it has now.
pub(super) fn forget_place(data_dir: &Path) -> Result<(), StartError> {
    match fs::remove_file(data_dir.join(PLACE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StartError::DataDir { path: data_dir.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
