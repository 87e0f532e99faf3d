//! Connections to a database: how they are made, and the settings that statements rely on.

mod address;
mod clock;
mod password;
mod tls;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_store::error::ErrorKind;
use tokio::runtime::Handle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

pub use address::{Address, Environment, InvalidAddress};
pub(super) use clock::Clock;

use super::error::Silent;
use super::sets::{SetStatement, set_of};
use crate::catalog::tx::{TxError, TxResult};
use tls::Tls;

/// The time to reach a server.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The time that the system keeps sending to a server that does not answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// The time for an answer, after which the connection counts as lost. Longer than the server's own
/// limit of a statement.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(130);
/// The time for the answer to the begin of a transaction, which waits for nothing.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// The number of prepared statements kept on a connection. The rules have fewer.
const STATEMENTS_MAX: usize = 400;

/// The settings of each connection.
///
/// * Every statement looks up keys. Plans are made once, when tables may be empty: the settings
///   keep plans that read whole tables from being made.
/// * A registry that stands still in the middle of a write ends, and the others go on.
/// * A commit is durable when it returns, whatever the server's default.
const SETTINGS: &str = "
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET statement_timeout = '120s'; SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '20s';
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
SET client_min_messages = warning";

/// A connection, and its prepared statements.
pub(super) struct Session {
    client: Client,
    runtime: Handle,
    clock: Arc<Clock>,
    statements: HashMap<&'static str, Prepared>,
    /// The time for an answer.
    answer_time_max: Duration,
}

/// A prepared statement, and its form for a batch.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) one: Statement,
    /// `None` until a batch was run; `Some(None)` if there is no such form.
    set: Option<Option<(Statement, SetStatement)>>,
}

/// Makes connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    address: Address,
    tls: Tls,
    runtime: Handle,
    clock: Arc<Clock>,
    /// The schema to use instead of the address's own, quoted.
    schema: Option<String>,
}

impl Connector {
    pub(super) fn new(address: &Address, runtime: Handle) -> std::io::Result<Self> {
        let tls = Tls::new(address.security, address.authorities.as_deref())?;
        let mut address = address.clone();
        let config = &mut address.config;
        config.connect_timeout(CONNECT_TIME_MAX).tcp_user_timeout(SILENCE_MAX);
        config.keepalives_idle(SILENCE_MAX);
        Ok(Self { address, tls, runtime, clock: Arc::default(), schema: None })
    }

    /// Returns the server's clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns a connector to another schema of the database.
    pub(super) fn in_schema(&self, quoted: String) -> Self {
        Self { schema: Some(quoted), ..self.clone() }
    }

    /// Makes a connection. Blocks.
    pub(super) fn connect(&self) -> TxResult<Session> {
        self.runtime.block_on(self.connected())
    }

    /// Makes a connection.
    pub(super) async fn connected(&self) -> TxResult<Session> {
        let connecting = async {
            let (client, connection) = self.address.config.connect(self.tls.clone()).await?;
            // Ends with the client. Errors are reported by the client's calls, too.
            self.runtime.spawn(connection);
            let asked = Instant::now();
            let told = client.simple_query(&format!("{SETTINGS}; {}", clock::READ)).await?;
            self.clock.read(asked, &told);
            if let Some(schema) = &self.schema {
                client.batch_execute(&format!("SET search_path TO {schema}")).await?;
            }
            Ok::<Client, tokio_postgres::Error>(client)
        };
        // A limit of the whole: the library's own is for each host, and without TLS.
        let client = tokio::time::timeout(4 * CONNECT_TIME_MAX, connecting).await;
        let client = client.map_err(|_| TxError::new(ErrorKind::Unavailable, Silent))??;
        let runtime = self.runtime.clone();
        let (statements, clock) = (HashMap::new(), Arc::clone(&self.clock));
        Ok(Session { client, runtime, clock, statements, answer_time_max: ANSWER_TIME_MAX })
    }
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for an answer of the server. Blocks.
    pub(super) fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> TxResult<T> {
        self.wait_for(self.answer_time_max, answer)
    }

    fn wait_for<T>(
        &self,
        time_max: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> TxResult<T> {
        let limited = async { tokio::time::timeout(time_max, answer).await };
        match self.runtime.block_on(limited) {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(TxError::new(ErrorKind::Unavailable, Silent)),
        }
    }

    /// Lets statements read or write whole tables, however long it takes. Blocks.
    pub(super) fn take_time(&mut self) -> TxResult<()> {
        self.answer_time_max = Duration::MAX;
        self.batch("SET statement_timeout = 0; SET enable_seqscan = on; SET enable_hashjoin = on")
    }

    /// Begins a transaction, and reads the server's clock in the same round trip. Blocks.
    pub(super) fn begin(&self, sql: &str) -> TxResult<()> {
        let asked = Instant::now();
        let sql = format!("{sql}; {}", clock::READ);
        let told = self.wait_for(BEGIN_TIME_MAX, self.client.simple_query(&sql))?;
        self.clock.read(asked, &told);
        Ok(())
    }

    /// Runs statements without parameters. Blocks.
    pub(super) fn batch(&self, sql: &str) -> TxResult<()> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Returns the rows of a statement that is run once. Blocks.
    pub(super) fn query(&self, sql: &str, args: &[&(dyn ToSql + Sync)]) -> TxResult<Vec<Row>> {
        self.wait(self.client.query(sql, args))
    }

    /// Prepares a statement, once. Blocks.
    pub(super) fn prepare(&mut self, sql: &'static str) -> TxResult<Statement> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(prepared.one.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let one = self.wait(self.client.prepare(sql))?;
        self.statements.insert(sql, Prepared { one: one.clone(), set: None });
        Ok(one)
    }

    /// Prepares the form of a statement for a batch, once; `None` if it has none. Blocks.
    pub(super) fn prepare_set(
        &mut self,
        sql: &'static str,
    ) -> TxResult<Option<(Statement, SetStatement)>> {
        let one = self.prepare(sql)?;
        if let Some(Prepared { set: Some(set), .. }) = self.statements.get(sql) {
            return Ok(set.clone());
        }
        let types: &[Type] = one.params();
        let set = match set_of(sql, types) {
            Some(set) => Some((self.wait(self.client.prepare(&set.sql))?, set)),
            None => None,
        };
        if let Some(prepared) = self.statements.get_mut(sql) {
            prepared.set = Some(set.clone());
        }
        Ok(set)
    }
}
