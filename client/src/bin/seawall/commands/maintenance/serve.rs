//! `seawall serve DATA`.

use std::sync::Arc;
use std::time::Duration;

use seawall_server::telemetry::{self, LogFormat};
use seawall_server::{Access, Config, MinFree, Rate, Rates, UpstreamAt};

use super::{catalog, store};
use crate::args::Global;
use crate::args::serve::{self, ServeArgs};
use crate::commands::mirrors::carrier::Copier;
use crate::connect::hosted::refused;
use crate::failure::Failure;
use crate::size;

/// The log filters, without and with `--verbose`: by default the server's own messages and every
/// request, and warnings of other modules.
const LOG_FILTER: [&str; 2] = ["warn,seawall_server=info", "info,seawall_server=debug"];

/// The time limit for the last log lines after the server has stopped.
const LOG_FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM, then finishes the requests in flight.
pub(crate) async fn serve(args: ServeArgs, global: &Global) -> Result<(), Failure> {
    let format = match args.log_format {
        serve::LogFormat::Text => LogFormat::Text,
        serve::LogFormat::Json => LogFormat::Json,
    };
    telemetry::init(format, LOG_FILTER[usize::from(global.verbose.min(1))]);
    let access = match (args.token_file, args.tokens) {
        (file, true) => Access::Tokens(file),
        (Some(file), false) => Access::TokenFile(file),
        (None, false) => Access::Open,
    };
    let config = Config {
        store: store::find(args.store, global)?,
        catalog: catalog::find(args.catalog, global)?,
        listen: args.listen,
        access,
        handle_signals: true,
        drain_time: Duration::from_secs(args.drain_time),
        lease_ttl: Duration::from_secs(args.lease_ttl),
        min_free: args.min_free.as_deref().map_or(Ok(MinFree::Usual), min_free)?,
        rates: Rates {
            per_token: args.rate_limit.as_deref().map(rate).transpose()?,
            per_application: args.application_rate_limit.as_deref().map(rate).transpose()?,
        },
        private_webhooks: args.private_webhooks,
        adopts_store: args.adopt_store,
        collect_every: args.collect_every.map(hours),
        retention_every: args.retention_every.map(hours),
        upstream: args
            .upstream
            .map(|url| upstream(url, args.upstream_cache.as_deref(), args.fresh_time))
            .transpose()?,
        ..Config::new(args.data)
    };
    let running = seawall_server::start_with(config, Some(Arc::new(Copier)))
        .await
        .map_err(|error| refused(&error))?;
    // On standard output, so that a script that asked for port 0 can read the port. A failure is
    // only logged.
    if let Err(error) = crate::output::write(&format!("listening on http://{}\n", running.addr())) {
        tracing::warn!(error = error.what(), "cannot print the address on standard output");
    }
    let outcome = running.wait().await;
    telemetry::flush(LOG_FLUSH_TIME_MAX);
    outcome.map_err(|error| Failure::io("the registry stopped", &error))
}

/// The default of `--upstream-cache`, in bytes.
const UPSTREAM_CACHE: u64 = 20 << 30;

fn upstream(url: String, space: Option<&str>, fresh_secs: u64) -> Result<UpstreamAt, Failure> {
    let space_max = match space {
        None => UPSTREAM_CACHE,
        Some(text) => size::parse(text).filter(|size| *size > 0).ok_or_else(|| {
            let what = format!("`--upstream-cache {}` is not a size", text.escape_debug());
            Failure::usage(what, "write a size such as 100GiB")
        })?,
    };
    Ok(UpstreamAt { url, space_max, fresh_time: Duration::from_secs(fresh_secs) })
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

fn min_free(text: &str) -> Result<MinFree, Failure> {
    let percent = text.strip_suffix('%').map(|percent| percent.parse().ok());
    let min_free = match percent {
        Some(percent) => percent.filter(|percent| *percent <= 100).map(MinFree::Percent),
        None => size::parse(text).map(MinFree::Bytes),
    };
    min_free.ok_or_else(|| {
        let what =
            format!("`--min-free {}` is neither a size nor a percentage", text.escape_debug());
        Failure::usage(what, "write a size such as 10GiB, or a percentage such as 5%")
    })
}

/// Parses a rate as `100` or `100:500`; the default burst is two seconds' worth of requests.
fn rate(text: &str) -> Result<Rate, Failure> {
    let (per_sec, burst) = match text.split_once(':') {
        Some((per_sec, burst)) => (per_sec.parse().ok(), burst.parse().ok()),
        None => {
            let per_sec: Option<u32> = text.parse().ok();
            (per_sec, per_sec.map(|per_sec| per_sec.saturating_mul(2)))
        }
    };
    match (per_sec, burst) {
        (Some(per_sec @ 1..), Some(burst @ 1..)) => Ok(Rate { per_sec, burst }),
        _ => Err(Failure::usage(
            format!("`{}` is not a rate of requests", text.escape_debug()),
            "write the requests a second, and optionally the burst: 100 or 100:500",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        let cases = [
            ("5%", Some(MinFree::Percent(5))),
            ("10GiB", Some(MinFree::Bytes(10 << 30))),
            ("0", Some(MinFree::Bytes(0))),
            ("101%", None),
            ("%", None),
            ("much", None),
        ];
        for (text, expect) in cases {
            assert_eq!(min_free(text).ok(), expect, "{text}");
        }
        assert_eq!(rate("100").unwrap(), Rate { per_sec: 100, burst: 200 });
        assert_eq!(rate("100:5").unwrap(), Rate { per_sec: 100, burst: 5 });
        for text in ["0", "1:0", "", "x", "1:2:3", "-1"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
