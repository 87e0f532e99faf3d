//! A PostgreSQL server and a bucket for scripts: `engines` prints the variables that lead a registry
//! to them as one line of JSON, and then does what each line of its input says.
//!
//! `postgres` and `gateway` kill that server at once and start it again; every line is answered by
//! itself when it is done. The servers end with the input.

use std::io::{BufRead, Write, stdin, stdout};

use seawall_tests::{CephBucket, Postgres};
use serde_json::{Map, Value};

fn main() {
    let mut postgres = Postgres::start().expect("PostgreSQL is installed");
    let bucket = CephBucket::new();
    let mut variables: Map<String, Value> = Map::new();
    for (name, value) in bucket.variables(bucket.endpoint()) {
        variables.insert(name.to_owned(), value.into());
    }
    variables.insert("SEAWALL_CATALOG".to_owned(), postgres.address("postgres", "").into());
    say(&Value::Object(variables).to_string());
    for line in stdin().lock().lines() {
        let line = line.expect("a line of text");
        match line.as_str() {
            "postgres" => {
                postgres.stop();
                postgres.go();
            }
            "gateway" => bucket.restart_gateway(),
            other => panic!("`{other}` is neither `postgres` nor `gateway`"),
        }
        say(&line);
    }
}

/// Prints a line at once, also into a pipe.
fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("a reader");
}
