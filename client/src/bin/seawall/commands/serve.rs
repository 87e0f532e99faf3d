//! `seawall serve DATA`.

use std::time::Duration;

use seawall_server::telemetry::{self, LogFormat};
use seawall_server::{Access, Config};

use crate::args::{self, ServeArgs};
use crate::hosted::refused;
use crate::report::Failure;

/// What is logged: the registry's own doings and every request, of others only what goes wrong.
const LOG_FILTER: [&str; 2] = ["warn,seawall_server=info", "info,seawall_server=debug"];

/// Serves until SIGINT or SIGTERM; requests in flight are finished then.
pub(crate) async fn serve(args: ServeArgs, verbose: u8) -> Result<(), Failure> {
    let format = match args.log_format {
        args::LogFormat::Text => LogFormat::Text,
        args::LogFormat::Json => LogFormat::Json,
    };
    telemetry::init(format, LOG_FILTER[usize::from(verbose.min(1))]);
    let access = args.token_file.map_or(Access::Open, Access::TokenFile);
    let config = Config {
        listen: args.listen,
        access,
        handle_signals: true,
        lease_ttl: Duration::from_secs(args.lease_ttl),
        collect_every: args.collect_every.map(|hours| Duration::from_secs(hours * 3600)),
        ..Config::new(args.data)
    };
    let running = seawall_server::start(config).await.map_err(|error| refused(&error))?;
    // On standard output, so that a script that asked for port 0 can read it.
    crate::output::write(&format!("listening on http://{}\n", running.addr()))?;
    running.wait().await.map_err(|error| Failure::io("the registry stopped", &error))
}
