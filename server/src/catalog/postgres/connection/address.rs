//! The address of a database: a URL, the environment variables of PostgreSQL, and a password file.
//!
//! `postgres://USER@HOST:PORT/DATABASE?NAME=VALUE&…` as other programs of PostgreSQL take it. What
//! the URL does not say comes from `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`, `PGSSLMODE`,
//! `PGSSLROOTCERT`, `PGOPTIONS` and `PGTARGETSESSIONATTRS`; the password from `PGPASSWORD`, or from
//! the file `PGPASSFILE` or `~/.pgpass`.

use std::fmt;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::password;

/// The port of PostgreSQL.
const PORT: u16 = 5432;
/// The folder of the sockets of a server on this machine, as Debian has it.
const SOCKETS: &str = "/var/run/postgresql";

/// The security of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Security {
    /// Never TLS.
    Disable,
    /// TLS if the server offers it, without proof of the server's identity.
    Prefer,
    /// TLS, without proof of the server's identity.
    Require,
    /// TLS with a certificate of a trusted authority for the host of the address.
    VerifyFull,
}

impl Security {
    fn parse(text: &str) -> Result<Self, InvalidAddress> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-full" => Self::VerifyFull,
            other => return Err(InvalidAddress::Security(other.to_owned())),
        })
    }
}

/// The address of a database.
///
/// The text form names no password.
#[derive(Clone)]
pub struct Address {
    pub(super) config: Config,
    pub(super) security: Security,
    pub(super) authorities: Option<PathBuf>,
    shown: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        (&self.config, self.security, &self.authorities)
            == (&other.config, other.security, &other.authorities)
    }
}

impl Eq for Address {}

/// The reason an address cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The address does not begin as one of PostgreSQL.
    #[error("the address of a PostgreSQL database begins with postgres://")]
    Scheme,
    /// A part is not percent-encoded UTF-8.
    #[error("a part of the address is not percent-encoded UTF-8")]
    Encoding,
    /// A port is not a number.
    #[error("`{0}` is not a port")]
    Port(String),
    /// A parameter is unknown.
    #[error("the address has the unknown parameter `{0}`")]
    Parameter(String),
    /// The security is unknown.
    #[error("`{0}` is not an sslmode: use disable, prefer, require or verify-full")]
    Security(String),
    /// The value of `target_session_attrs` is unknown.
    #[error("`{0}` is not a value of target_session_attrs: use any or read-write")]
    Target(String),
    /// Nothing names the user or the database.
    #[error("the address names no {0}")]
    Missing(&'static str),
}

/// Reads an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The parts of an address before defaults.
#[derive(Default)]
struct Parts {
    hosts: Vec<(String, Option<u16>)>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Address {
    /// Parses an address, with `environment` for what it does not say.
    ///
    /// # Errors
    /// If the address is malformed or incomplete.
    pub fn parse(text: &str, environment: Environment<'_>) -> Result<Self, InvalidAddress> {
        let mut parts = parse_parts(text)?;
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let from = |given: Option<String>, name: &str| given.or_else(|| set(name));
        let mut given = |name: &str| {
            let at = parts.parameters.iter().position(|(other, _)| other == name)?;
            Some(parts.parameters.remove(at).1)
        };
        let security = from(given("sslmode"), "PGSSLMODE");
        let authorities = from(given("sslrootcert"), "PGSSLROOTCERT").map(PathBuf::from);
        let options = from(given("options"), "PGOPTIONS");
        let target = from(given("target_session_attrs"), "PGTARGETSESSIONATTRS");
        let host = given("host");
        let port = given("port");
        let (user, database) = (given("user"), given("dbname"));
        if let Some((name, _)) = parts.parameters.first() {
            return Err(InvalidAddress::Parameter(name.clone()));
        }
        if parts.hosts.is_empty() {
            let host = from(host, "PGHOST").unwrap_or_else(|| SOCKETS.to_owned());
            parts.hosts = host.split(',').map(|host| (host.to_owned(), None)).collect();
        }
        let port = from(port, "PGPORT").map_or(Ok(PORT), |port| parse_port(&port))?;
        let user = from(from(parts.user.or(user), "PGUSER"), "USER");
        let user = user.ok_or(InvalidAddress::Missing("user"))?;
        let database = from(parts.database.or(database), "PGDATABASE").unwrap_or(user.clone());
        let mut config = Config::new();
        config.user(&user).dbname(&database).application_name("seawall");
        for (host, own) in &parts.hosts {
            config.host(host).port(own.unwrap_or(port));
        }
        if let Some(options) = &options {
            config.options(options);
        }
        config.target_session_attrs(match target.as_deref() {
            None | Some("any") => TargetSessionAttrs::Any,
            Some("read-write") => TargetSessionAttrs::ReadWrite,
            Some(other) => return Err(InvalidAddress::Target(other.to_owned())),
        });
        let is_near = parts.hosts.iter().all(|(host, _)| is_on_this_machine(host));
        let security = match security {
            Some(text) => Security::parse(&text)?,
            None if is_near => Security::Prefer,
            None => Security::VerifyFull,
        };
        config.ssl_mode(match security {
            Security::Disable => SslMode::Disable,
            Security::Prefer => SslMode::Prefer,
            Security::Require | Security::VerifyFull => SslMode::Require,
        });
        let password = parts.password.or_else(|| set("PGPASSWORD")).or_else(|| {
            let file = set("PGPASSFILE").map(PathBuf::from);
            let file = file.or_else(|| Some(Path::new(&set("HOME")?).join(".pgpass")))?;
            let (host, own) = parts.hosts.first()?;
            password::find(&file, [host, &own.unwrap_or(port).to_string(), &database, &user])
        });
        if let Some(password) = password {
            config.password(password);
        }
        let mut shown = shown(&parts.hosts, port, [&user, &database]);
        if let Some(options) = options {
            // They may name the schema, without which the address leads elsewhere.
            let mark = if shown.contains('?') { '&' } else { '?' };
            shown += &format!("{mark}options={}", encoded(&options));
        }
        Ok(Self { config, security, authorities, shown })
    }
}

/// Returns an address without a password.
fn shown(hosts: &[(String, Option<u16>)], port: u16, [user, database]: [&str; 2]) -> String {
    match hosts.first() {
        Some((folder, _)) if folder.starts_with('/') => {
            format!("postgres://{user}@/{database}?host={folder}&port={port}")
        }
        _ => {
            let name = |(host, own): &(String, Option<u16>)| match host.contains(':') {
                true => format!("[{host}]:{}", own.unwrap_or(port)),
                false => format!("{host}:{}", own.unwrap_or(port)),
            };
            let names: Vec<_> = hosts.iter().map(name).collect();
            format!("postgres://{user}@{}/{database}", names.join(","))
        }
    }
}

/// Encodes a value of the query.
fn encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.,/".contains(byte);
    let encode = |byte: u8| match is_plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Returns whether a host is this machine: a folder of sockets or a loopback address.
fn is_on_this_machine(host: &str) -> bool {
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn parse_parts(text: &str) -> Result<Parts, InvalidAddress> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or(InvalidAddress::Scheme)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let mut parts = Parts::default();
    let hosts = match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(decoded(password)?)),
                None => (user, None),
            };
            parts.user = Some(decoded(user)?).filter(|user| !user.is_empty());
            parts.password = password;
            hosts
        }
        None => authority,
    };
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        parts.hosts.push(parse_host(host)?);
    }
    parts.database = Some(decoded(database)?).filter(|name| !name.is_empty());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parts.parameters.push((decoded(name)?, decoded(value)?));
    }
    Ok(parts)
}

fn parse_host(text: &str) -> Result<(String, Option<u16>), InvalidAddress> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    Ok((decoded(host)?, port.map(parse_port).transpose()?))
}

fn parse_port(text: &str) -> Result<u16, InvalidAddress> {
    text.parse().map_err(|_| InvalidAddress::Port(text.to_owned()))
}

/// Decodes percent-encoded text.
fn decoded(text: &str) -> Result<String, InvalidAddress> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|two| hex::decode(two).ok());
        bytes.extend(digits.ok_or(InvalidAddress::Encoding)?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| InvalidAddress::Encoding)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Address, InvalidAddress> {
        let find = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name)?;
            Some(found.1.to_owned())
        };
        Address::parse(text, &find)
    }

    #[test]
    fn an_address_is_a_url_and_never_shows_its_password() {
        let address = parse("postgres://me:s%40crt@db.example:6000/images", &[]).unwrap();
        assert_eq!(address.config.get_password(), Some("s@crt".as_bytes()));
        assert_eq!(address.to_string(), "postgres://me@db.example:6000/images");
        assert!(!format!("{address:?}").contains("crt"));
        assert_eq!(address.security, Security::VerifyFull, "it crosses a network");
    }

    #[test]
    fn variables_say_what_the_url_does_not() {
        let variables = [
            ("PGHOST", "/tmp/sockets"),
            ("PGPORT", "77"),
            ("PGUSER", "me"),
            ("PGDATABASE", "images"),
            ("PGPASSWORD", "secret"),
        ];
        let address = parse("postgres://", &variables).unwrap();
        assert_eq!(address.config.get_hosts(), [Host::Unix("/tmp/sockets".into())]);
        assert_eq!(address.config.get_ports(), [77]);
        let text = "postgres://me@/images?host=/tmp/sockets&port=77";
        assert_eq!(address.to_string(), text, "it is an address again");
        assert_eq!(address.config.get_dbname(), Some("images"));
        assert_eq!(address.config.get_password(), Some("secret".as_bytes()));
        assert_eq!(address.security, Security::Prefer, "it stays on this machine");
        let given = parse("postgres://you@127.0.0.1:78/other", &variables).unwrap();
        assert_eq!(given.to_string(), "postgres://you@127.0.0.1:78/other");
    }

    #[test]
    fn parameters_are_known_or_refused() {
        let text = "postgres://me@a,b:2/x?sslmode=require&options=-csearch_path%3Done\
                    &target_session_attrs=read-write";
        let address = parse(text, &[]).unwrap();
        assert_eq!(address.security, Security::Require);
        assert_eq!(address.config.get_options(), Some("-csearch_path=one"));
        assert_eq!(address.config.get_ports(), [PORT, 2]);
        let refused = |text: &str| parse(text, &[]).unwrap_err();
        assert_eq!(refused("mysql://x"), InvalidAddress::Scheme);
        assert_eq!(refused("postgres://a@b/c?tls=on"), InvalidAddress::Parameter("tls".into()));
        let why = InvalidAddress::Security("allow".into());
        assert_eq!(refused("postgres://a@b/c?sslmode=allow"), why);
        assert_eq!(refused("postgres://a@b:x/c"), InvalidAddress::Port("x".into()));
        assert_eq!(refused("postgres://a%2@b/c"), InvalidAddress::Encoding);
        assert_eq!(refused("postgres://b/c"), InvalidAddress::Missing("user"));
    }
}
