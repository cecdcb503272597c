//! The load generator: one thread, a few connections, each with one request under way.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    access_log::AccessLogFile,
    cases::{Case, initialize},
    connection::{Answer, Connection},
    failure::Failure,
    process::Server,
};

/// A part of each round whose figures are not taken: one in so many.
const WARM_UP: u32 = 10;

/// How much is asked in a round.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests of the measured part.
    pub requests: u32,
    /// Connections that share them.
    pub connections: u32,
    /// Whether the generator has CPUs of its own and so may spin on them.
    ///
    /// A generator that sleeps has to be woken, and on the loopback it is the server that pays for it:
    /// the slower the case the more often, which would be counted as its cost.
    pub spin: bool,
}

/// A case whose answer is known.
#[derive(Debug)]
pub struct Prepared {
    /// The case.
    pub case: Case,
    /// Requests that preparing took.
    pub asked: u64,
    request: Bytes,
    answer: Bytes,
}

/// What a round measured.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// CPU time of the serving process, in microseconds for each request.
    pub cpu_us: f64,
    /// Latency that half of the requests stayed under.
    pub p50_us: f64,
    /// Latency that 99 of 100 requests stayed under.
    pub p99_us: f64,
    /// Resident memory of the serving process at the end.
    pub rss_bytes: u64,
    /// Requests measured.
    pub requests: u32,
    /// Answers that were not like the first one.
    pub errors: u64,
}

impl Prepared {
    /// Asks once, and looks closely at the answer; all others must be equal to it.
    ///
    /// # Errors
    /// [`Failure`] when the answer is an error.
    pub async fn new(case: Case, address: SocketAddr) -> Result<Self, Failure> {
        let mut connection = Connection::open(address).await?;
        let (session, asked) = if case.in_session() {
            (open_session(&mut connection, &initialize("bench")).await?, 2)
        } else {
            (UNKNOWN_SESSION.to_owned(), 1)
        };
        let request = case.request(&session);
        let answer = connection.exchange(&request).await?;
        let json: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let result = json.get("result");
        let refused = result.and_then(|result| result.get("isError")) == Some(&Value::Bool(true));
        if !answer.is_ok() || result.is_none() || refused {
            return Err(unexpected(case.name(), answer));
        }
        let answer = Bytes::copy_from_slice(answer.body);
        Ok(Self { case, asked, request, answer })
    }

    /// Measures one round on connections of its own.
    ///
    /// # Errors
    /// [`Failure`] when a connection breaks, or the access log dropped records.
    pub async fn round(
        &self,
        server: &Server,
        load: Load,
        mut log: Option<&mut AccessLogFile>,
    ) -> Result<Round, Failure> {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Connection::open(server.address).await?);
        }
        let each = load.requests.div_ceil(load.connections);
        let warming = each.div_ceil(WARM_UP);
        let warm = self.ask(connections, warming, load.spin).await?;
        if let Some(log) = &mut log {
            log.take(u64::from(warming * load.connections)).await?;
        }
        let before = server.cpu()?;
        let mut asked = self.ask(warm.connections, each, load.spin).await?;
        let requests = each * load.connections;
        if let Some(log) = &mut log {
            // Writing the records is part of the cost.
            log.take(u64::from(requests)).await?;
        }
        let cpu = server.cpu()?.saturating_sub(before);
        asked.latencies.sort_unstable();
        Ok(Round {
            cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(requests),
            p50_us: percentile(&asked.latencies, 50),
            p99_us: percentile(&asked.latencies, 99),
            rss_bytes: server.rss_bytes()?,
            requests,
            errors: warm.errors + asked.errors,
        })
    }

    async fn ask(
        &self,
        connections: Vec<Connection>,
        each: u32,
        spin: bool,
    ) -> Result<Asked, Failure> {
        let mut askers = JoinSet::new();
        for connection in connections {
            askers.spawn(ask(connection, self.request.clone(), self.answer.clone(), each));
        }
        let answers = tokio::select! {
            biased;
            answers = askers.join_all() => answers,
            () = stay_awake(), if spin => Vec::new(),
        };
        let mut all = Asked::default();
        for asked in answers {
            let asked = asked?;
            all.connections.extend(asked.connections);
            all.latencies.extend(asked.latencies);
            all.errors += asked.errors;
        }
        Ok(all)
    }
}

/// As long as a real one; bare Pingora does not look at it.
const UNKNOWN_SESSION: &str = "zm5dO4pEJ0m3mGWMSrYh8fV2cYdXTR0aLq9w1B7uKxE";

/// Opens a session and gives its id.
///
/// # Errors
/// [`Failure`] when the server does not let it.
pub async fn open_session(connection: &mut Connection, request: &[u8]) -> Result<String, Failure> {
    let answer = connection.exchange(request).await?;
    let id = answer.field("mcp-session-id").filter(|_| answer.is_ok());
    id.map(str::to_owned).ok_or_else(|| unexpected("initialize", answer))
}

#[derive(Default)]
struct Asked {
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
    errors: u64,
}

async fn ask(
    mut connection: Connection,
    request: Bytes,
    expected: Bytes,
    times: u32,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    for _ in 0..times {
        let began = Instant::now();
        let answer = connection.exchange(&request).await?;
        asked.latencies.push(began.elapsed());
        if !answer.is_ok() || answer.body != expected {
            asked.errors += 1;
        }
    }
    asked.connections.push(connection);
    Ok(asked)
}

/// Never ends. Between two looks the runtime asks for events without waiting for them.
#[expect(clippy::infinite_loop, reason = "ends when it is dropped")]
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
}

fn unexpected(case: &'static str, answer: Answer<'_>) -> Failure {
    let text = [answer.head, answer.body].concat();
    Failure::Answer { case, answer: String::from_utf8_lossy(&text).into_owned() }
}
