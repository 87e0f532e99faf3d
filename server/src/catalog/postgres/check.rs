//! The faults of a database that its own constraints would not let arise: a damaged index, a dump
//! that was restored in part, triggers that were switched off.

use super::connection::Session;
use crate::catalog::tx::TxResult;

/// The maximum number of faults listed per kind.
const FAULTS_NAMED: usize = 100;

/// Returns references to missing rows, and counters behind the rows they number.
pub(super) fn faults(session: &mut Session) -> TxResult<Vec<String>> {
    session.take_time()?;
    session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let mut faults = dangling(session)?;
    faults.extend(counters_behind(session)?);
    session.batch("COMMIT")?;
    Ok(faults)
}

fn dangling(session: &Session) -> TxResult<Vec<String>> {
    let sql = "SELECT CAST(k.conrelid AS regclass)::text, CAST(k.confrelid AS regclass)::text,
                   (SELECT string_agg(format('t.%I IS NOT NULL', a.attname), ' AND ')
                    FROM unnest(k.conkey) n JOIN pg_attribute a
                    ON a.attrelid = k.conrelid AND a.attnum = n),
                   (SELECT string_agg(format('p.%I = t.%I', b.attname, a.attname), ' AND ')
                    FROM unnest(k.conkey, k.confkey) n(own, other)
                    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.own
                    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = n.other)
               FROM pg_constraint k WHERE k.contype = 'f'
                   AND k.connamespace = CAST(current_schema() AS regnamespace) ORDER BY 1, 2";
    let mut faults = Vec::new();
    for key in session.query(sql, &[])? {
        let part = |at: usize| -> TxResult<String> { Ok(key.try_get(at)?) };
        let (table, parent, given, same) = (part(0)?, part(1)?, part(2)?, part(3)?);
        let sql = format!(
            "SELECT FROM {table} t WHERE {given}
             AND NOT EXISTS (SELECT FROM {parent} p WHERE {same}) LIMIT {FAULTS_NAMED}"
        );
        let fault = format!("a row of {table} refers to a missing row of {parent}");
        faults.extend(session.query(&sql, &[])?.iter().map(|_| fault.clone()));
    }
    faults.truncate(FAULTS_NAMED);
    Ok(faults)
}

fn counters_behind(session: &Session) -> TxResult<Vec<String>> {
    let sql = "SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT),
                   pg_get_serial_sequence(quote_ident(c.relname), a.attname)
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE c.relnamespace = CAST(current_schema() AS regnamespace)
                   AND c.relkind = 'r' AND a.attidentity <> '' ORDER BY 1";
    let mut faults = Vec::new();
    for counter in session.query(sql, &[])? {
        let part = |at: usize| -> TxResult<String> { Ok(counter.try_get(at)?) };
        let (table, column, sequence) = (part(0)?, part(1)?, part(2)?);
        let sql = format!(
            "SELECT 1 FROM {sequence} s WHERE s.last_value < (SELECT MAX({column}) FROM {table})"
        );
        if !session.query(&sql, &[])?.is_empty() {
            faults.push(format!("the counter of {table}.{column} is behind its rows"));
        }
    }
    Ok(faults)
}
