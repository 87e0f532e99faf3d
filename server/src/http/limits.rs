//! Limits of the edge, in one place so that every route agrees.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use seawall_api::index::{INDEX_LEN_MAX, LEAF_LEN_MAX};
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX};
use seawall_api::v1::CHUNKS_PER_QUESTION_MAX;
use seawall_store::pack;

use super::problem::ApiError;

/// The longest body in JSON: the largest question about chunks, and some room for white space.
pub const JSON_LEN_MAX: usize = CHUNKS_PER_QUESTION_MAX * 80 + 4096;
/// The longest pack.
pub const PACK_LEN_MAX: usize = pack::PACK_LEN_MAX;
/// The longest release document.
pub const DOCUMENT_LEN_MAX: usize = RELEASE_LEN_MAX;
/// The longest leaf.
pub const LEAF_BODY_LEN_MAX: usize = LEAF_LEN_MAX;
/// The longest list of an index.
pub const INDEX_BODY_LEN_MAX: usize = INDEX_LEN_MAX;
/// The longest original descriptor.
pub const DESCRIPTOR_BODY_LEN_MAX: usize = DESCRIPTOR_LEN_MAX;
/// Bodies are admitted to memory in units of this many bytes.
pub const BUDGET_UNIT: usize = 64 << 10;
/// How many of them uploads take at once: 96 MiB, five packs and a half. Others wait their turn.
pub const UPLOAD_UNITS: usize = (96 << 20) / BUDGET_UNIT;
/// How many of them questions take at once: 32 MiB, six of the longest.
pub const QUESTION_UNITS: usize = (32 << 20) / BUDGET_UNIT;
/// How long an upload waits for memory: less than our own client waits for any sign of life.
pub const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a question waits for memory.
pub const QUESTION_WAIT_MAX: Duration = Duration::from_secs(10);
/// In any such time some of a body must come in:
pub const PACE_WINDOW: Duration = Duration::from_secs(30);
/// at least this much, 8 KiB/s. Sixteen uploads at once over 1 Mbit/s come nearly twice as fast,
/// and the longest pack takes 36 minutes, well within a lease.
pub const PACE_LEN_MIN: usize = 240 << 10;
/// A body that is not whole after so long is kept on the disk until it is.
pub const SPOOL_AFTER: Duration = Duration::from_secs(2);
/// How much of one comes in before it is put there.
pub const SPOOL_PIECE_LEN: usize = 64 << 10;
/// How many units answers take at once beyond a short piece for each: 64 MiB.
pub const ANSWER_UNITS: usize = (64 << 20) / BUDGET_UNIT;
/// How long the outcome of a probe of store and catalog is told to others who ask.
pub const PROBE_AGE_MAX: Duration = Duration::from_secs(1);
/// How long a probe may take.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(5);
/// How much of a refused body is read, so that its sender gets to read the answer.
pub const DRAIN_LEN_MAX: usize = 32 << 20;
/// How long a refused body is read.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// What may come in for one request, its framing included: four times the longest body.
pub const REQUEST_LEN_MAX: usize = 4 * PACK_LEN_MAX;
/// How long a client may take to send a request's head, once a byte of it came.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a connection may lie idle between requests.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// How long a client may take none of what it is sent. The kernel counts (`TCP_USER_TIMEOUT`):
/// a connection whose data is neither acknowledged nor fits the client's window for as long.
pub const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// In any such time a client must take some of what it is sent, or the rest of it:
pub const SEND_WINDOW: Duration = Duration::from_secs(60);
/// at least this much, 4 KiB/s. Sixteen answers at once over 1 Mbit/s go nearly twice as fast.
pub const SEND_LEN_MIN: usize = 240 << 10;
/// How much of an answer the kernel holds that it has not sent yet: with more, a slow line would
/// seem to stand still for minutes and then take a megabyte at once.
pub const UNSENT_LEN_MAX: u32 = 128 << 10;
/// How long closing a connection may take, and how long a body is read behind the last answer.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest path and query.
pub const URL_LEN_MAX: usize = 4096;
/// The longest headers, names and values together.
pub const HEADERS_LEN_MAX: usize = 16 << 10;
/// Connections of one worker at once where there are files enough; more wait in the backlog.
pub const CONNECTIONS_PER_WORKER_MAX: usize = 1024;
/// Connections that wait to be accepted.
pub const BACKLOG: u32 = 1024;
/// One piece of a pack on its way out: what stays in a processor's cache between the read and the
/// socket. Pieces of 512 KiB were slower for 16 clients, and took four times the memory.
pub const PIECE_LEN: u64 = 256 << 10;
/// The same where memory is short, or where one token takes as much as is left for all others.
pub const SHORT_PIECE_LEN: u64 = 16 << 10;

/// Extractors answer with problem documents. actix answers 404 to a path segment that does not
/// parse, and in plain text to everything else.
pub(super) fn extractors(cfg: &mut web::ServiceConfig) {
    let path = |error: actix_web::error::PathError, _: &HttpRequest| {
        ApiError::invalid(format!("the path is malformed: {error}")).into()
    };
    let query = |error: actix_web::error::QueryPayloadError, _: &HttpRequest| {
        ApiError::invalid(format!("the query is malformed: {error}")).into()
    };
    cfg.app_data(web::PathConfig::default().error_handler(path))
        .app_data(web::QueryConfig::default().error_handler(query));
}
