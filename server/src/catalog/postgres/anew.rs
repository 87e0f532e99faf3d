//! A catalog made beside the present one, which takes its place in one transaction.
//!
//! The new tables lie in a schema of their own, `NAME_rebuild`, which no registry serves. The end
//! moves the present tables to `NAME_old_1` (or a higher number), and the new ones to their place.
//!
//! # At the same time
//!
//! Registries that find no tables wait, as for a first start. Registries that serve the present
//! tables wait with their writes, because the writers' lock is held to the end; after 10 seconds
//! they answer 503.
//!
//! # After a crash
//!
//! The present tables are as they were. The next attempt drops the unfinished schema.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::types::ToSql;

use super::connection::{Connector, Session};
use super::error::failed;
use super::intake::PostgresRows;
use super::{Address, Found, Postgres, migrate, on_a_thread, scratch};
use crate::catalog::Catalog;
use crate::catalog::engine::{Intake, NewBlank};
use crate::catalog::error::CatalogError;
use crate::catalog::tx::{TxError, TxResult};

const ACTION: &str = "be made anew";
/// The suffix of the schema of a catalog under construction.
const UNDER_CONSTRUCTION: &str = "_rebuild";
/// The suffix of the schema of a replaced catalog, followed by a number.
const ASIDE: &str = "_old_";
/// The maximum number of replaced catalogs in one database.
const ASIDE_MAX: u32 = 1000;
/// The remedy for a user that may not make schemas.
const MAY_CREATE: &str = "let the registry's user make a schema for the new tables: GRANT CREATE \
                          ON DATABASE … TO …";

/// A catalog under construction, which no registry serves. Has no effect if dropped before
/// [`Anew::finish`].
pub struct Anew {
    catalog: Catalog,
    connector: Connector,
    /// The connection that holds the locks, and makes the change.
    session: Session,
    schemas: Schemas,
    /// True if the present tables are in place and locked.
    replaces: bool,
    address: Address,
    new_copy: NewBlank,
}

impl fmt::Debug for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anew").finish_non_exhaustive()
    }
}

/// The names of the schemas.
#[derive(Clone)]
struct Schemas {
    /// The schema of the registry.
    own: String,
    /// The schema of the new tables.
    new: String,
}

/// Begins a catalog to replace the one in a database, sound or not. Blocks.
///
/// # Errors
/// If the database cannot be reached or used, or has another program's tables.
pub fn begin_anew(address: &Address, new_copy: NewBlank) -> Result<Anew, CatalogError> {
    let drivers = super::drivers()?;
    let connector = Connector::new(address, drivers.handle().clone())
        .map_err(|error| super::fault_of_io(ACTION, error))?;
    let (session, schemas, replaces) = {
        let connector = connector.clone();
        let begun = on_a_thread(drivers.handle(), move || begin(&connector));
        begun.ok_or_else(|| super::ended(ACTION))??
    };
    let own = connector.in_schema(quoted(&schemas.new));
    let engine = Postgres::new(own.clone(), Arc::clone(&new_copy), drivers, None, 0);
    let (catalog, address) = (Catalog::new(Arc::new(engine)), address.clone());
    Ok(Anew { catalog, connector: own, session, schemas, replaces, address, new_copy })
}

fn begin(connector: &Connector) -> Result<(Session, Schemas, bool), CatalogError> {
    let fail = |error| failed(ACTION, error);
    let mut session = connector.connect().map_err(fail)?;
    migrate::check_server(&session)?;
    if !migrate::can_write(&session).map_err(fail)? {
        return Err(CatalogError::read_only(ACTION, crate::catalog::Barrier::Standby));
    }
    session.take_time().map_err(fail)?;
    scratch::lock(&session).map_err(fail)?;
    let mut replaces = migrate::version(&session).map_err(fail)?.is_some();
    if replaces && migrate::is_begun(&session).map_err(fail)? {
        session.batch(scratch::CLEAR).map_err(fail)?;
        replaces = false;
    }
    if !replaces {
        migrate::check_no_others(&session)?;
    }
    let own = text(&session, "SELECT CAST(current_schema() AS TEXT)").map_err(fail)?;
    let schemas = Schemas { new: format!("{own}{UNDER_CONSTRUCTION}"), own };
    let name = quoted(&schemas.new);
    let sql = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    session.batch(&sql).map_err(|error| fail(error).with_remedy(MAY_CREATE))?;
    migrate::migrate(&connector.in_schema(name).connect().map_err(fail)?)?;
    let sql = "SET idle_in_transaction_session_timeout = 0; BEGIN";
    session.batch(sql).map_err(fail)?;
    if replaces {
        // The writers' lock.
        session.batch("SELECT FROM schema_version FOR UPDATE").map_err(fail)?;
    }
    Ok((session, schemas, replaces))
}

impl Anew {
    /// Returns the catalog to fill.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Begins to fill the catalog with all rows of another one. Blocks.
    ///
    /// # Errors
    /// If the database fails.
    pub fn intake(&self) -> Result<Box<dyn Intake>, CatalogError> {
        let begun = self.connector.connect().and_then(PostgresRows::begin);
        Ok(Box::new(begun.map_err(|error| failed(ACTION, error))?))
    }

    /// Puts the catalog in its place. Returns it, and the schema of the replaced one. Blocks.
    ///
    /// # Errors
    /// If the database fails. The present catalog is then as it was.
    pub fn finish(self) -> Result<(Catalog, Option<String>), CatalogError> {
        let Self { catalog, session, schemas, replaces, address, new_copy, .. } = self;
        let fail = |error| failed("be given its place", error);
        let aside = match replaces {
            true => Some(set_aside(&session, &schemas).map_err(fail)?),
            false => None,
        };
        let (own, new) = (&schemas.own, &schemas.new);
        let complete = format!("UPDATE {}.schema_version SET is_complete = 1", quoted(new));
        session.batch(&complete).map_err(fail)?;
        session.batch(&shift(new, own)).map_err(fail)?;
        session.batch(&format!("DROP SCHEMA {}; COMMIT", quoted(new))).map_err(fail)?;
        // With the session, the lock of the start ends; with the catalog, its connections.
        drop(session);
        drop(catalog);
        match super::find(&address, new_copy)? {
            Found::Catalog(catalog) => Ok((catalog, aside)),
            Found::Nothing(_) => Err(fail(TxError::damaged("its tables are gone"))),
        }
    }
}

/// Moves the present tables to another schema, and returns its name.
fn set_aside(session: &Session, schemas: &Schemas) -> TxResult<String> {
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    for n in 1..=ASIDE_MAX {
        let aside = format!("{}{ASIDE}{n}", schemas.own);
        let name: &(dyn ToSql + Sync) = &aside;
        let rows = session.query(sql, &[name])?;
        if rows.first().map_or(Ok(true), |row| row.try_get(0))? {
            continue;
        }
        session.batch(&format!("CREATE SCHEMA {}", quoted(&aside)))?;
        session.batch(&shift(&schemas.own, &aside))?;
        return Ok(aside);
    }
    let why = format!("there are already {ASIDE_MAX} older ones: drop some");
    Err(TxError::new(seawall_store::error::ErrorKind::Conflict, why))
}

/// Returns the statement that moves all tables of a schema, and the function of their trigger, to
/// another one.
fn shift(from: &str, to: &str) -> String {
    let (from, to) = (literal(from), literal(to));
    format!(
        "DO $$ DECLARE found record; BEGIN
             FOR found IN
                 SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = {from} AND c.relkind = 'r'
                     AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid
                                     AND d.classid = CAST('pg_class' AS regclass)
                                     AND d.deptype = 'e')
             LOOP
                 EXECUTE format('ALTER TABLE %I.%I SET SCHEMA %I', {from}, found.relname, {to});
             END LOOP;
             IF to_regprocedure(format('%I.audit_only_grows()', {from})) IS NOT NULL THEN
                 EXECUTE format('ALTER FUNCTION %I.audit_only_grows() SET SCHEMA %I', {from}, {to});
             END IF;
         END $$"
    )
}

/// Returns a name as an identifier of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a text as a literal of SQL, which may stand in a block quoted by dollars.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace("$$", ""))
}

fn text(session: &Session, sql: &str) -> TxResult<String> {
    let rows = session.query(sql, &[])?;
    let row = rows.first().ok_or_else(|| TxError::damaged("a row is missing"))?;
    Ok(row.try_get(0)?)
}
