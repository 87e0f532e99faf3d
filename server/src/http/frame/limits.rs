//! Limits of the HTTP edge, in one place so that all routes agree.

use std::time::Duration;

use seawall_api::index::{INDEX_LEN_MAX, LEAF_LEN_MAX};
use seawall_api::release::{DESCRIPTOR_LEN_MAX, RELEASE_LEN_MAX};
use seawall_api::v1::CHUNKS_PER_QUESTION_MAX;

use crate::app::model;
use crate::config::Rate;

/// The maximum length of a JSON body, in bytes: the largest query for chunks, with some room for
/// white space.
pub const JSON_LEN_MAX: usize = CHUNKS_PER_QUESTION_MAX * 80 + 4096;
/// The maximum length of a pack, in bytes.
pub const PACK_LEN_MAX: usize = model::PACK_LEN_MAX;
/// The maximum length of a release document, in bytes.
pub const DOCUMENT_LEN_MAX: usize = RELEASE_LEN_MAX;
/// The maximum length of a leaf, in bytes.
pub const LEAF_BODY_LEN_MAX: usize = LEAF_LEN_MAX;
/// The maximum length of the list of an index, in bytes.
pub const INDEX_BODY_LEN_MAX: usize = INDEX_LEN_MAX;
/// The maximum length of an original descriptor, in bytes.
pub const DESCRIPTOR_BODY_LEN_MAX: usize = DESCRIPTOR_LEN_MAX;
/// The unit of the memory budgets, in bytes.
pub const BUDGET_UNIT: usize = 64 << 10;
/// The memory budget of uploads, in units: 96 MiB, or five and a half packs. Other uploads wait.
pub const UPLOAD_UNITS: usize = (96 << 20) / BUDGET_UNIT;
/// The memory budget of queries, in units: 32 MiB, or six of the longest.
pub const QUESTION_UNITS: usize = (32 << 20) / BUDGET_UNIT;
/// The maximum time an upload waits for memory: less than the client waits for a sign of life.
pub const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// The maximum time a query waits for memory.
pub const QUESTION_WAIT_MAX: Duration = Duration::from_secs(10);
/// The time window in which [`PACE_LEN_MIN`] bytes of a body must arrive.
pub const PACE_WINDOW: Duration = Duration::from_secs(30);
/// The minimum number of bytes per [`PACE_WINDOW`]: 8 KiB/s.
///
/// Sixteen parallel uploads over 1 Mbit/s arrive nearly twice as fast. At this pace, the longest
/// pack takes 36 minutes, well within a lease.
pub const PACE_LEN_MIN: usize = 240 << 10;
/// The time after which an incomplete body is spooled to disk.
pub const SPOOL_AFTER: Duration = Duration::from_secs(2);
/// The number of bytes received before each write to the spool.
pub const SPOOL_PIECE_LEN: usize = 64 << 10;
/// The memory budget of answers, in units, beyond a short piece for each: 64 MiB.
pub const ANSWER_UNITS: usize = (64 << 20) / BUDGET_UNIT;
/// The time for which the outcome of a readiness probe is reused.
pub const PROBE_AGE_MAX: Duration = Duration::from_secs(1);
/// The maximum time of a probe.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(5);
/// The maximum number of bytes of a refused body to read, so that the sender can read the answer.
pub const DRAIN_LEN_MAX: usize = 32 << 20;
/// The maximum time to read a refused body.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// The maximum number of bytes received per request, with framing: four times the longest body.
pub const REQUEST_LEN_MAX: usize = 4 * PACK_LEN_MAX;
/// The maximum time for the rest of a request's head after its first byte.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// The maximum idle time of a connection between requests.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// The maximum time without progress of a client being sent data.
///
/// The kernel enforces this limit (`TCP_USER_TIMEOUT`): the connection's data is neither
/// acknowledged nor fits into the client's window for that long.
pub const STALL_TIME_MAX: Duration = Duration::from_secs(60);
/// The time window in which a client must accept [`SEND_LEN_MIN`] bytes of an answer, or its rest.
pub const SEND_WINDOW: Duration = Duration::from_secs(60);
/// The minimum number of bytes accepted per [`SEND_WINDOW`]: 4 KiB/s. Sixteen parallel answers over
/// 1 Mbit/s are nearly twice as fast.
pub const SEND_LEN_MIN: usize = 240 << 10;
/// The maximum number of unsent bytes of an answer in the kernel. With more, a slow connection
/// would seem to stall for minutes and then accept a megabyte at once.
pub const UNSENT_LEN_MAX: u32 = 128 << 10;
/// The maximum time to close a connection, and to read a body after the last answer.
pub const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// The rate of requests without a valid token from one address.
///
/// Past the rate, a token that this process never found is not looked up: the catalog's connections
/// are for others. Tokens that it found pass all the same, because hosts may share an address.
pub const REFUSED_RATE: Rate = Rate { per_sec: 10, burst: 500 };
/// The maximum length of path and query, in bytes.
pub const URL_LEN_MAX: usize = 4096;
/// The maximum length of the headers, names and values together, in bytes.
pub const HEADERS_LEN_MAX: usize = 16 << 10;
/// The maximum number of connections per worker, if enough files are available. Others wait in the
/// backlog.
pub const CONNECTIONS_PER_WORKER_MAX: usize = 1024;
/// The part of these connections that is kept free: with less room, idle connections end for new
/// ones.
pub const CROWD_ROOM_PART: usize = 8;
/// The maximum number of connections that wait to be accepted.
pub const BACKLOG: u32 = 1024;
/// The length of a piece of an outgoing backup, in bytes.
pub const PIECE_LEN: u64 = 256 << 10;
/// The part of a pack's piece that is sent at once if memory is short, or if one token uses as much
/// as is left for all others.
pub const SHORT_PIECE_PART: u64 = 16;
/// The length of a piece of an answer that is the same for every client.
pub const FIXED_PIECE_LEN: usize = 16 << 10;
