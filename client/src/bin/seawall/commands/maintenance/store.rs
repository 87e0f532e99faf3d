//! The store of a registry, from flags, the environment and the configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_server::StoreAt;
use seawall_store::backend::s3::{Environment, Reads, Settings, Style, Transport};

use crate::args::Global;
use crate::args::serve::store::StoreArgs;
use crate::config::{self, ServeTable};
use crate::failure::Failure;

/// The beginning of an address, as opposed to a path.
const SCHEME_MARK: &str = "://";

/// Finds the place of the store of a registry.
pub(crate) fn find(args: StoreArgs, global: &Global) -> Result<StoreAt, Failure> {
    let table = config::serve_table(global.config.as_deref())?;
    place(with_table(args, table), crate::aws_environment())
}

/// Fills what neither flags nor the environment say from the configuration file.
fn with_table(args: StoreArgs, table: ServeTable) -> StoreArgs {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    StoreArgs {
        store: given(args.store).or(table.store),
        s3_endpoint: given(args.s3_endpoint).or(table.s3_endpoint),
        s3_region: given(args.s3_region).or(table.s3_region),
        s3_virtual_host: args.s3_virtual_host || table.s3_virtual_host,
        s3_ca: args.s3_ca.filter(|path| !path.as_os_str().is_empty()).or(table.s3_ca),
        s3_allow_http: args.s3_allow_http || table.s3_allow_http,
        s3_timeout: args.s3_timeout.or(table.s3_timeout),
        redirect: args.redirect || table.redirect,
    }
}

/// Validates the place of a store.
fn place(args: StoreArgs, environment: Environment) -> Result<StoreAt, Failure> {
    let Some(store) = &args.store else {
        return match first_of_bucket(&args) {
            Some(flag) => Err(Failure::usage(
                format!("`{flag}` is for a bucket, and no bucket is named"),
                "name the bucket: --store s3://BUCKET",
            )),
            None => Ok(StoreAt::Inside),
        };
    };
    if !store.contains(SCHEME_MARK) {
        let path = std::path::absolute(Path::new(store)).unwrap_or_else(|_| PathBuf::from(store));
        return Ok(StoreAt::Directory(path));
    }
    let address = store.parse().map_err(|error: seawall_store::backend::s3::InvalidAddress| {
        Failure::usage(error.to_string(), error.remedy())
    })?;
    let mut settings = Settings::new(address, environment);
    settings.endpoint = args.s3_endpoint;
    settings.region = args.s3_region;
    settings.authorities = args.s3_ca;
    if args.s3_virtual_host {
        settings.style = Style::VirtualHost;
    }
    if args.s3_allow_http {
        settings.transport = Transport::Any;
    }
    if args.redirect {
        settings.reads = Reads::Direct;
    }
    if let Some(secs) = args.s3_timeout {
        settings.stall_time_max = Duration::from_secs(secs.max(1));
    }
    Ok(StoreAt::Bucket(Box::new(settings)))
}

/// Returns an option of buckets that is given. Variables may be set for another program.
fn first_of_bucket(args: &StoreArgs) -> Option<&'static str> {
    let given = [
        ("--s3-endpoint", args.s3_endpoint.is_some()),
        ("--s3-region", args.s3_region.is_some()),
        ("--s3-virtual-host", args.s3_virtual_host),
        ("--s3-ca", args.s3_ca.is_some()),
        ("--s3-allow-http", args.s3_allow_http),
        ("--redirect", args.redirect),
    ];
    given.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(store: &str) -> Result<StoreAt, Failure> {
        let store = Some(store.to_owned());
        place(StoreArgs { store, ..StoreArgs::default() }, Environment::default())
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        assert_eq!(place(StoreArgs::default(), Environment::default()).unwrap(), StoreAt::Inside);
        assert_eq!(of("/srv/objects").unwrap(), StoreAt::Directory("/srv/objects".into()));
        let StoreAt::Bucket(settings) = of("s3://seawall/team").unwrap() else { panic!() };
        assert_eq!(settings.address.to_string(), "s3://seawall/team");
        for text in ["gs://bucket", "s3://B", "s3://bucket/a b"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_of_a_bucket_need_a_bucket() {
        let args = StoreArgs { s3_allow_http: true, ..StoreArgs::default() };
        assert!(place(args, Environment::default()).is_err());
    }

    #[test]
    fn the_configuration_file_fills_what_is_not_said() {
        let table = ServeTable {
            store: Some("s3://of-file".to_owned()),
            s3_region: Some("eu-1".to_owned()),
            ..ServeTable::default()
        };
        let args = StoreArgs { store: Some("s3://flag".to_owned()), ..StoreArgs::default() };
        let filled = with_table(args, table);
        assert_eq!(filled.store.as_deref(), Some("s3://flag"));
        assert_eq!(filled.s3_region.as_deref(), Some("eu-1"));
    }
}
