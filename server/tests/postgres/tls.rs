//! Encrypted connections, and proof of the server's identity.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use seawall_server::catalog::postgres::{self, Address};
use seawall_server::catalog::{CatalogError, sqlite};

use crate::server::Server;

/// Makes a certificate for 127.0.0.1 that nothing but itself proves.
fn certify(folder: &Path, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    openssl.args(["-days", "30", "-subj", "/CN=seawall test"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(folder.join(format!("{name}.key")));
    openssl.arg("-out").arg(folder.join(format!("{name}.crt")));
    let said = openssl.stdin(Stdio::null()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn open(address: &str) -> Result<(), CatalogError> {
    let folder = tempfile::tempdir().unwrap();
    let copies = Arc::new(move || sqlite::blank(folder.path()));
    postgres::open(&Address::parse(address, &|_| None).unwrap(), copies).map(|_| ())
}

/// Returns the whole of an error.
fn told(error: &CatalogError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[test]
fn a_server_is_proven_by_its_certificate_unless_told_otherwise() {
    let Some(mut server) = Server::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    for name in ["server", "other"] {
        certify(folder.path(), name);
    }
    for name in ["server.crt", "server.key"] {
        server.give(&fs::read(folder.path().join(name)).unwrap(), &format!("data/{name}"));
    }
    server.sql("postgres", "ALTER SYSTEM SET ssl = on");
    server.stop();
    let port = free_port();
    server.go_at(port);
    let at = |host: &str, rest: &str| {
        open(&format!("postgres://postgres@{host}:{port}/postgres?{rest}"))
    };
    let root = |name: &str| {
        let file = folder.path().join(format!("{name}.crt"));
        format!("sslmode=verify-full&sslrootcert={}", file.display())
    };
    at("127.0.0.1", &root("server")).unwrap();
    let refused = told(&at("127.0.0.1", &root("other")).unwrap_err());
    assert!(refused.contains("certificate"), "{refused}");
    let refused = told(&at("localhost", &root("server")).unwrap_err());
    assert!(refused.contains("certificate"), "it is for another host: {refused}");
    at("127.0.0.1", "sslmode=require").unwrap();
    at("127.0.0.1", "sslmode=prefer").unwrap();
    server.sql("postgres", "ALTER SYSTEM SET ssl = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    while server.sql("postgres", "SHOW ssl") == "on" {}
    let refused = told(&at("127.0.0.1", "sslmode=require").unwrap_err());
    assert!(refused.contains("TLS"), "{refused}");
    at("127.0.0.1", "sslmode=disable").unwrap();
}
