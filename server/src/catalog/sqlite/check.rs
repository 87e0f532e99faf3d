//! The faults SQLite finds in its own file.

use rusqlite::Connection;

use super::error::SqlResult;

/// The maximum number of faults listed per kind.
const FAULTS_NAMED: usize = 100;

/// Returns the faults in the pages, and references to missing rows.
pub(super) fn faults(connection: &Connection) -> SqlResult<Vec<String>> {
    let mut faults = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FAULTS_NAMED})"))?;
    for line in statement.query_map([], |found| found.get::<_, String>(0))? {
        faults.extend(Some(line?).filter(|line| line != "ok"));
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let dangling = statement.query_map([], |found| {
        let (table, parent): (String, String) = (found.get(0)?, found.get(2)?);
        Ok(format!("a row of {table} refers to a missing row of {parent}"))
    })?;
    for line in dangling.take(FAULTS_NAMED) {
        faults.push(line?);
    }
    Ok(faults)
}
