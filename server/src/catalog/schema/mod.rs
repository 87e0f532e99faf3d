//! The tables of the catalog, and the migrations between versions of them, for every engine.
//!
//! # Invariants
//!
//! 1. A released migration is never edited; a change is a new migration.
//! 2. Placeholders stand for the words in which engines differ. Everything else is one text.
//! 3. *Expand, then contract*: a migration only adds, and what it adds has a default or may be
//!    absent, so that registries of the version before still serve the same database. What they no
//!    longer use is removed by a later release, in a migration of its own, which raises
//!    [`SERVABLE_FROM`] to the oldest version that does without it.

mod versions;

use versions::{V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15, V16};

pub(super) use versions::TABLES;

/// An engine, by the words it uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The placeholders, and their replacements in SQLite and in PostgreSQL.
const DIALECT: [(&str, &str, &str); 7] = [
    ("{IDENTITY}", "INTEGER PRIMARY KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("{BYTES}", "BLOB", "BYTEA"),
    // Names are compared byte by byte, whatever the locale of the database.
    (" TEXT", " TEXT", " TEXT COLLATE \"C\""),
    // PostgreSQL has no clustered primary key.
    ("{CLUSTERED}", "WITHOUT ROWID", ""),
    // A collection walks all places by digest. The key alone answers it: 2.7 instead of 0.19
    // million rows per second.
    (
        "{PLACES_COVERED}",
        "",
        "ALTER TABLE chunks DROP CONSTRAINT places_pkey;
         ALTER TABLE chunks ADD CONSTRAINT chunks_pkey
             PRIMARY KEY (digest) INCLUDE (pack_id, stored_len);",
    ),
    // In PostgreSQL, the registry's user has only INSERT and SELECT on the table, too.
    (
        "{AUDIT_ONLY_GROWS}",
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
         CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;",
        "CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
             $f$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $f$;
         CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();",
    ),
    // PostgreSQL has no INSERT that replaces.
    (
        "{AUDIT_IS_NOT_REPLACED}",
        "CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
             WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence OR rowid = NEW.rowid)
             BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;",
        "",
    ),
];

/// The migrations. Each takes the schema from the version of its position to the next version.
const MIGRATIONS: [&str; 16] =
    [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15, V16];

/// The schema version of this program.
pub(super) const VERSION: u32 = 16;
const _: () = assert!(VERSION as usize == MIGRATIONS.len());

/// Deletes the job that made a copy from the copy, which would show the job as interrupted.
pub(super) const FORGET_COPYING: &str =
    "DELETE FROM jobs WHERE kind = 'backup' AND ended_at_secs IS NULL";

/// The oldest version whose programs may still serve a catalog of [`VERSION`].
pub(super) const SERVABLE_FROM: u32 = 10;

/// The oldest version whose programs heed the gate of a relocation. Older ones no longer serve a
/// catalog that was ever closed.
pub(super) const HEEDS_GATE_FROM: u32 = 15;

/// Returns the migrations that a schema of version `from` lacks; `None` if the schema is newer than
/// this program.
pub(super) fn pending(from: u32, dialect: Dialect) -> Option<Vec<String>> {
    let pending = MIGRATIONS.get(from as usize..)?;
    Some(pending.iter().map(|sql| in_dialect(sql, dialect)).collect())
}

fn in_dialect(sql: &str, dialect: Dialect) -> String {
    DIALECT.iter().fold(sql.to_owned(), |sql, (placeholder, sqlite, postgres)| {
        let word = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        sql.replace(placeholder, word)
    })
}
