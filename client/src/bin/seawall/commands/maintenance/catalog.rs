//! The catalog of a registry, from flags, the environment and the configuration file.

use std::path::{Path, PathBuf};

use seawall_server::CatalogAt;
use seawall_server::catalog::postgres::Address;

use crate::args::Global;
use crate::args::serve::catalog::CatalogArgs;
use crate::config;
use crate::failure::Failure;

/// The beginning of the place of a file.
const FILE: &str = "sqlite:";
/// The forms of a place.
const FORMS: &str = "write postgres://USER@HOST/DATABASE, or sqlite:FILE";

/// Finds the place of the catalog of a registry.
pub(crate) fn find(args: CatalogArgs, global: &Global) -> Result<CatalogAt, Failure> {
    let given = args.catalog.filter(|text| !text.is_empty());
    let place = match given {
        Some(place) => Some(place),
        None => config::serve_table(global.config.as_deref())?.catalog,
    };
    place.map_or(Ok(CatalogAt::Inside), |place| parse(&place, &crate::variable))
}

/// Finds the place of a catalog that is named by an option alone.
pub(crate) fn named(place: Option<&str>) -> Result<CatalogAt, Failure> {
    let given = place.filter(|text| !text.is_empty());
    given.map_or(Ok(CatalogAt::Inside), |place| parse(place, &crate::variable))
}

/// Parses the place of a catalog. The text may hold a password, so that errors do not repeat it.
fn parse(place: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<CatalogAt, Failure> {
    if let Some(path) = place.strip_prefix(FILE) {
        if path.is_empty() {
            return Err(Failure::usage("`--catalog` names no file".to_owned(), FORMS));
        }
        let path = std::path::absolute(Path::new(path)).unwrap_or_else(|_| PathBuf::from(path));
        return Ok(CatalogAt::File(path));
    }
    let address = Address::parse(place, environment);
    let address = address
        .map_err(|error| Failure::usage(format!("`--catalog` cannot be used: {error}"), FORMS))?;
    Ok(CatalogAt::Postgres(Box::new(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_database_and_a_password_is_not_repeated() {
        let parse = |text: &str| parse(text, &|_| None);
        let file = CatalogAt::File(PathBuf::from("/var/lib/c.sqlite"));
        assert_eq!(parse("sqlite:/var/lib/c.sqlite").unwrap(), file);
        let database = parse("postgres://me:s3cret@db/images").unwrap();
        assert!(!format!("{database:?}").contains("s3cret"));
        for text in ["sqlite:", "/var/lib/c.sqlite", "mysql://me:s3cret@db/x"] {
            let refused = format!("{:?}", parse(text).unwrap_err());
            assert!(refused.contains("postgres://USER@HOST"), "{refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
