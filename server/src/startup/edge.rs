//! Starting an edge: a server without a registry, before an upstream.

use std::sync::Arc;

use actix_web::web;
use tokio::sync::oneshot;

use super::host::Machine;
use super::{Running, StartError, listen, request_prefix, server, stop_on_signal};
use crate::config::Config;
use crate::http::{self, Edge};
use crate::tokens::Grants;
use crate::upstream::{self, OpenError, Upstream, UpstreamAt};

/// Starts an edge on a separate thread.
pub(super) async fn start(config: Config, at: &UpstreamAt) -> Result<Running, StartError> {
    let upstream = Upstream::open(&config.data_dir, at, Arc::new(Machine));
    let upstream = web::Data::new(upstream.map_err(|error| match error {
        OpenError::Address(error) => StartError::Upstream(error),
        OpenError::Cache(error) => StartError::Cache(error),
    })?);
    let grants = Arc::new(Grants::new(Arc::new(Machine)));
    let edge = Edge::new(None, grants, request_prefix()?, config.rates, &http::Problems);
    let edge = web::Data::new(edge.with_spool(&config.data_dir));
    let (listener, addr) = listen(&config)?;
    let (send_handle, handle) = oneshot::channel();
    let (send_end, ended) = oneshot::channel();
    let (served, drain_time) = (edge.clone(), config.drain_time);
    tracing::info!(upstream = %upstream.url(), "this is an edge");
    let serve = move || {
        let result = actix_web::rt::System::new().block_on(async move {
            let routes = move |cfg: &mut web::ServiceConfig| {
                cfg.app_data(upstream.clone());
                upstream::routes(cfg);
            };
            let server = server((listener, served.clone()), &config, routes)?;
            let handle = server.handle();
            if config.handle_signals {
                actix_web::rt::spawn(stop_on_signal(handle.clone(), served, config.drain_time));
            }
            // The receiver is gone if the caller of `start` was dropped.
            let _ = send_handle.send(handle);
            server.await
        });
        // The receiver is gone if the edge was dropped.
        let _ = send_end.send(());
        result
    };
    let thread = std::thread::Builder::new().name("seawall-edge".to_owned()).spawn(serve);
    let thread = thread.map_err(|_| StartError::Machine("cannot create a thread"))?;
    let handle = handle.await.map_err(|_| StartError::Machine("the server did not start"))?;
    tracing::info!(%addr, "serving");
    let (token, ended) = (None, Some(ended));
    Ok(Running { addr, token, edge, handle, thread: Some(thread), ended, drain_time })
}
