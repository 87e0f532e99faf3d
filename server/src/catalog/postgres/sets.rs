//! A statement over all rows of a batch at once, made from the statement for one row.
//!
//! `SELECT` runs for each row by `LATERAL`, which the planner turns into a nested loop over an
//! index.
//! `INSERT`, `UPDATE` and `DELETE` take the rows as another table. A statement of another form runs
//! row by row, in one stream of requests ([`super::tx`]).
//!
//! A set differs from its rows in one case: PostgreSQL does not change a row twice in one
//! statement. Therefore a set names the parameters that must differ between rows
//! ([`SetStatement::keys`]).

use tokio_postgres::types::Type;

/// The name of the table of parameters. No statement of the rules uses it.
const ROW: &str = "each_row";

/// A statement over a set of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SetStatement {
    /// The text. Each parameter is an array, of the values of one parameter of all rows.
    pub(super) sql: String,
    /// The parameters whose values together must differ between any two rows, by position. Empty
    /// if rows may repeat.
    pub(super) keys: Vec<usize>,
    /// True if the statement answers with rows. The first column is then the number of the row of
    /// parameters, from 1.
    pub(super) answers: bool,
}

/// Returns the statement over a set; `None` if the statement has no such form.
pub(super) fn set_of(sql: &str, types: &[Type]) -> Option<SetStatement> {
    let rows = rows(types)?;
    let verb = sql.split_whitespace().next()?;
    match verb {
        "SELECT" => select(sql, &rows),
        "INSERT" => insert(sql, &rows),
        "UPDATE" => update(sql, &rows),
        "DELETE" => delete(sql, &rows),
        _ => None,
    }
}

/// Returns the table of parameters.
fn rows(types: &[Type]) -> Option<String> {
    if types.is_empty() {
        return None;
    }
    let (mut arrays, mut names) = (Vec::new(), Vec::new());
    for (number, kind) in (1..).zip(types) {
        arrays.push(format!("${number}::{}[]", name_of(kind)?));
        names.push(format!("p{number}"));
    }
    let (arrays, names) = (arrays.join(", "), names.join(", "));
    Some(format!("unnest({arrays}) WITH ORDINALITY AS {ROW} ({names}, ord)"))
}

/// Returns the type of an array's elements. Integers of any width travel as those of 64 bits.
fn name_of(kind: &Type) -> Option<&'static str> {
    match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 => Some("bigint"),
        Type::TEXT => Some("text"),
        Type::BYTEA => Some("bytea"),
        _ => None,
    }
}

fn select(sql: &str, rows: &str) -> Option<SetStatement> {
    if sql.contains(" ORDER BY ") {
        return None;
    }
    let one = by_row(sql);
    let sql = format!("SELECT {ROW}.ord, q.* FROM {rows}, LATERAL ({one}) AS q ORDER BY {ROW}.ord");
    Some(SetStatement { sql, keys: vec![], answers: true })
}

fn insert(sql: &str, rows: &str) -> Option<SetStatement> {
    if sql.contains(" RETURNING ") {
        return None;
    }
    let (head, rest) = match sql.find("VALUES (") {
        Some(at) => (&sql[..at], &sql[at + "VALUES ".len()..]),
        None => return insert_selected(sql, rows),
    };
    let values = &rest[1..closing(rest)?];
    let conflict = &rest[values.len() + 2..];
    let keys = match conflict.contains("DO UPDATE") {
        true => conflicting(head, values, conflict)?,
        false => vec![],
    };
    let (values, conflict) = (by_row(values), by_row(conflict));
    let sql = format!("{head}SELECT {values} FROM {rows} WHERE TRUE {conflict}");
    Some(SetStatement { sql, keys, answers: false })
}

/// Returns the parameters of the columns that decide a conflict.
fn conflicting(head: &str, values: &str, conflict: &str) -> Option<Vec<usize>> {
    let list = |text: &str| -> Option<Vec<String>> {
        let open = text.find('(')?;
        let inner = &text[open + 1..open + closing(&text[open..])?];
        Some(inner.split(',').map(|part| part.trim().to_owned()).collect())
    };
    let columns = list(head)?;
    let values: Vec<&str> = values.split(',').map(str::trim).collect();
    let target = list(conflict)?;
    let position = |column: &String| {
        let at = columns.iter().position(|other| other == column)?;
        values.get(at)?.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
    };
    target.iter().map(position).collect()
}

fn insert_selected(sql: &str, rows: &str) -> Option<SetStatement> {
    let at = sql.find("SELECT ")?;
    let (body, conflict) = match sql.find("ON CONFLICT") {
        Some(end) => (&sql[at..end], &sql[end..]),
        None => (&sql[at..], ""),
    };
    if conflict.contains("DO UPDATE") {
        return None;
    }
    let (head, one) = (&sql[..at], by_row(body));
    let sql = format!("{head}SELECT q.* FROM {rows}, LATERAL ({one}) AS q WHERE TRUE {conflict}");
    Some(SetStatement { sql, keys: vec![], answers: false })
}

fn update(sql: &str, rows: &str) -> Option<SetStatement> {
    let at = condition(sql)?;
    let (change, rest) = (by_row(&sql[..at]), &sql[at..]);
    let (filter, answer) = match rest.find(" RETURNING ") {
        Some(end) => (&rest[..end], Some(&rest[end + " RETURNING ".len()..])),
        None => (rest, None),
    };
    let keys = parameters(filter);
    let filter = by_row(filter);
    let mut sql = format!("{change} FROM {rows}{filter}");
    if let Some(answer) = answer {
        sql.push_str(&format!(" RETURNING {ROW}.ord, {}", by_row(answer)));
    }
    Some(SetStatement { sql, keys, answers: answer.is_some() })
}

fn delete(sql: &str, rows: &str) -> Option<SetStatement> {
    if sql.contains(" RETURNING ") {
        return None;
    }
    let at = condition(sql)?;
    let (head, filter) = (&sql[..at], by_row(&sql[at..]));
    Some(SetStatement { sql: format!("{head} USING {rows}{filter}"), keys: vec![], answers: false })
}

/// Returns the position of the statement's own condition, outside all parentheses.
fn condition(sql: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in sql.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'W' if depth == 0 && sql[at..].starts_with("WHERE ") => {
                return Some(sql[..at].trim_end().len());
            }
            _ => {}
        }
    }
    None
}

/// Returns the position of the parenthesis that closes the first byte.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Returns the parameters in a text, by position, each once.
fn parameters(sql: &str) -> Vec<usize> {
    let numbers = sql.split('$').skip(1).filter_map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse::<usize>().ok()?.checked_sub(1)
    });
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Replaces each parameter by its column in the table of parameters.
fn by_row(sql: &str) -> String {
    sql.replace('$', &format!("{ROW}.p"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(sql: &str, types: &[Type]) -> SetStatement {
        set_of(sql, types).unwrap()
    }

    #[test]
    fn a_select_runs_for_each_row() {
        let made = set("SELECT 1 FROM t c WHERE c.d = $1 AND c.n < $2", &[Type::BYTEA, Type::INT8]);
        let want = "SELECT each_row.ord, q.* FROM unnest($1::bytea[], $2::bigint[]) WITH ORDINALITY \
                    AS each_row (p1, p2, ord), LATERAL (SELECT 1 FROM t c WHERE c.d = each_row.p1 \
                    AND c.n < each_row.p2) AS q ORDER BY each_row.ord";
        assert_eq!(made, SetStatement { sql: want.to_owned(), keys: vec![], answers: true });
    }

    #[test]
    fn an_insert_that_may_update_needs_distinct_keys() {
        let sql = "INSERT INTO t (a, b, c) VALUES ($1, 0, $2)
                   ON CONFLICT (a, c) DO UPDATE SET b = excluded.b";
        let made = set(sql, &[Type::TEXT, Type::INT8]);
        assert_eq!(made.keys, [0, 1]);
        assert!(made.sql.contains("SELECT each_row.p1, 0, each_row.p2 FROM unnest("), "{made:?}");
        let sql = "INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING";
        assert_eq!(set(sql, &[Type::TEXT]).keys, [0; 0]);
        let sql = "INSERT INTO t (a, b) VALUES ('x', $1) ON CONFLICT (a) DO UPDATE SET b = 1";
        assert_eq!(set_of(sql, &[Type::TEXT]), None, "every row has the same key");
    }

    #[test]
    fn an_update_reports_its_rows_and_needs_distinct_conditions() {
        let sql = "UPDATE t SET a = $1, b = (SELECT x FROM y WHERE z = 1) WHERE d = $2 RETURNING 1";
        let made = set(sql, &[Type::INT4, Type::BYTEA]);
        assert_eq!((made.keys.as_slice(), made.answers), ([1].as_slice(), true));
        assert!(made.sql.ends_with("WHERE d = each_row.p2 RETURNING each_row.ord, 1"), "{made:?}");
        assert!(made.sql.contains("WHERE z = 1) FROM unnest($1::bigint[], "), "{made:?}");
    }

    #[test]
    fn a_delete_uses_the_rows() {
        let made = set("DELETE FROM t WHERE d = $1", &[Type::BYTEA]);
        let want = "DELETE FROM t USING unnest($1::bytea[]) WITH ORDINALITY AS each_row (p1, ord) \
                    WHERE d = each_row.p1";
        assert_eq!(made.sql.replace(")WHERE", ") WHERE"), want);
    }

    #[test]
    fn other_statements_run_row_by_row() {
        for sql in [
            "SELECT a FROM t WHERE d = $1 ORDER BY a",
            "INSERT INTO t (a) VALUES ($1) RETURNING id",
            "DELETE FROM t WHERE d = $1 RETURNING 1",
            "DELETE FROM t",
        ] {
            assert_eq!(set_of(sql, &[Type::BYTEA]), None, "{sql}");
        }
        assert_eq!(set_of("SELECT 1", &[]), None);
        assert_eq!(set_of("SELECT 1 WHERE $1", &[Type::FLOAT8]), None);
    }
}
