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
    cases::{Case, Credential, initialize},
    connection::{Answer, Connection},
    failure::Failure,
    process::Server,
    tokens::Minter,
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

/// Requests that one connection sends, one after the other.
type Requests = Box<dyn Iterator<Item = Bytes> + Send>;

/// Where each request has a token of its own, there are fewer of them: RSA signs slowly.
const FRESH: u32 = 10;

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
    pub async fn new(case: Case, address: SocketAddr, minter: &Minter) -> Result<Self, Failure> {
        let mut connection = Connection::open(address).await?;
        let (credential, asked) = match case.credential() {
            Credential::None => (UNKNOWN_SESSION.to_owned(), 1),
            Credential::Session => (open_session(&mut connection, &initialize("bench")).await?, 2),
            Credential::Token(signed) | Credential::FreshToken(signed) => (minter.mint(signed), 1),
        };
        let request = case.request(&credential);
        let answer = connection.exchange(&request).await?;
        if !is_as_expected(case, answer) {
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
        minter: &Minter,
    ) -> Result<Round, Failure> {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Connection::open(server.address).await?);
        }
        let each = self.requests(load).div_ceil(load.connections);
        let warming = each.div_ceil(WARM_UP);
        let lists = self.lists(minter, load.connections, warming);
        let warm = self.ask(connections.into_iter().zip(lists), load.spin).await?;
        if let Some(log) = &mut log {
            log.take(u64::from(warming * load.connections)).await?;
        }
        let lists = self.lists(minter, load.connections, each);
        let before = server.cpu()?;
        let mut asked = self.ask(warm.connections.into_iter().zip(lists), load.spin).await?;
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

    /// How many requests a round has.
    fn requests(&self, load: Load) -> u32 {
        match self.case.credential() {
            Credential::FreshToken(_) => load.requests.div_ceil(FRESH),
            Credential::None | Credential::Session | Credential::Token(_) => load.requests,
        }
    }

    /// What each connection sends. Tokens are signed before anything is measured.
    fn lists(&self, minter: &Minter, connections: u32, each: u32) -> Vec<Requests> {
        let list = |_connection: u32| -> Requests {
            let times = 0..each;
            if let Credential::FreshToken(signed) = self.case.credential() {
                let signed = times.map(|_| self.case.request(&minter.mint(signed)));
                return Box::new(signed.collect::<Vec<_>>().into_iter());
            }
            let request = self.request.clone();
            Box::new(times.map(move |_| request.clone()))
        };
        (0..connections).map(list).collect()
    }

    async fn ask(
        &self,
        askings: impl Iterator<Item = (Connection, Requests)>,
        spin: bool,
    ) -> Result<Asked, Failure> {
        let mut askers = JoinSet::new();
        for (connection, requests) in askings {
            askers.spawn(ask(connection, requests, self.case.status(), self.answer.clone()));
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

/// Whether an answer is what the case is about, and nothing else.
fn is_as_expected(case: Case, answer: Answer<'_>) -> bool {
    let json: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let said = if case.status() == 200 { json.get("result") } else { json.get("error") };
    let failed = said.and_then(|said| said.get("isError")) == Some(&Value::Bool(true));
    answer.has_status(case.status()) && said.is_some() && !failed
}

#[derive(Default)]
struct Asked {
    connections: Vec<Connection>,
    latencies: Vec<Duration>,
    errors: u64,
}

async fn ask(
    mut connection: Connection,
    requests: Requests,
    status: u16,
    expected: Bytes,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    for request in requests {
        let began = Instant::now();
        let answer = connection.exchange(&request).await?;
        asked.latencies.push(began.elapsed());
        if !answer.has_status(status) || answer.body != expected {
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
