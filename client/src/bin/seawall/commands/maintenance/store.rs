//! The store of a registry, from flags, the environment and the configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_server::StoreAt;
use seawall_store::backend::s3::{Environment, Reads, Settings, Style, Transport};
use seawall_store::layer::CacheAt;

use crate::args::Global;
use crate::args::serve::store::StoreArgs;
use crate::config::{self, ServeTable};
use crate::failure::Failure;
use crate::size;

/// The beginning of an address, as opposed to a path.
const SCHEME_MARK: &str = "://";

/// Finds the place of the store of a registry.
pub(crate) fn find(args: StoreArgs, global: &Global) -> Result<StoreAt, Failure> {
    let table = config::serve_table(global.config.as_deref())?;
    place(with_table(args, table), crate::aws_environment())
}

/// Finds the place of a store that is named by options alone.
pub(crate) fn named(args: StoreArgs) -> Result<StoreAt, Failure> {
    place(args, crate::aws_environment_of_source())
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
        cache: given(args.cache).or(table.cache),
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
        if args.cache.is_some() {
            return Err(Failure::usage(
                "`--cache` is for a bucket, and the store is a directory",
                "leave out --cache: the objects are on a local disk already",
            ));
        }
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
    if args.redirect && args.cache.is_some() {
        return Err(Failure::usage(
            "`--redirect` and `--cache` exclude each other",
            "leave one of them out: with --redirect, packs do not pass the registry",
        ));
    }
    settings.cache = args.cache.as_deref().map(cache).transpose()?;
    if let Some(secs) = args.s3_timeout {
        settings.stall_time_max = Duration::from_secs(secs.max(1));
    }
    Ok(StoreAt::Bucket(Box::new(settings)))
}

/// The smallest cache, in bytes.
const CACHE_SPACE_MIN: u64 = 64 << 20;

/// Parses a cache as `DIR:SIZE`.
fn cache(text: &str) -> Result<CacheAt, Failure> {
    let parts = text.rsplit_once(':').filter(|(dir, _)| !dir.is_empty());
    let parsed = parts.and_then(|(dir, space_max)| {
        let space_max = size::parse(space_max).filter(|size| *size >= CACHE_SPACE_MIN)?;
        let dir = std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir));
        Some(CacheAt { dir, space_max })
    });
    parsed.ok_or_else(|| {
        Failure::usage(
            format!("`--cache {}` names no folder and size", text.escape_debug()),
            "write a folder and a size of at least 64MiB: --cache /var/cache/seawall:100GiB",
        )
    })
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
        ("--cache", args.cache.is_some()),
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
    fn a_cache_is_a_folder_and_a_size() {
        let of = |cache: &str, redirect| {
            let (store, cache) = (Some("s3://seawall".to_owned()), Some(cache.to_owned()));
            place(StoreArgs { store, cache, redirect, ..<_>::default() }, <_>::default())
        };
        let StoreAt::Bucket(settings) = of("/c:d:100GiB", false).unwrap() else { panic!() };
        let cache = CacheAt { dir: "/c:d".into(), space_max: 100 << 30 };
        assert_eq!(settings.cache, Some(cache));
        for text in ["/cache", "/cache:", ":1GiB", "/cache:63MiB", "/cache:much", ""] {
            assert!(of(text, false).is_err(), "{text}");
        }
        assert!(of("/cache:1GiB", true).is_err());
        let cache = Some("/cache:1GiB".to_owned());
        for store in [None, Some("/srv/objects".to_owned())] {
            let args = StoreArgs { store, cache: cache.clone(), ..<_>::default() };
            assert!(place(args, Environment::default()).is_err());
        }
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
