//! The load generator: one thread, a few connections, each with one request under way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    cases::{Case, Credential, initialize},
    connection::{Answer, Connection},
    failure::Failure,
    stage::Stage,
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
    /// Sent in turn.
    requests: Vec<Bytes>,
    /// Which is sent next.
    next: usize,
    answer: Bytes,
}

/// Requests that one connection sends, one after the other.
type Requests = Vec<Bytes>;

/// Where each request has a token of its own, there are fewer of them: RSA signs slowly.
const FRESH: u32 = 10;
/// How long replicas may take to find each other.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(100);

/// What a round measured.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// CPU time of the serving processes, in microseconds for each request.
    pub cpu_us: f64,
    /// Latency that half of the requests stayed under.
    pub p50_us: f64,
    /// Latency that 99 of 100 requests stayed under.
    pub p99_us: f64,
    /// Resident memory of the serving processes at the end.
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
    pub async fn new(case: Case, stage: &mut Stage, minter: &Minter) -> Result<Self, Failure> {
        let began = Instant::now();
        loop {
            let credential = match case.credential() {
                Credential::None => UNKNOWN_SESSION.to_owned(),
                Credential::Session => open_one(case, stage).await?,
                Credential::Token(signed) | Credential::FreshToken(signed) => minter.mint(signed),
            };
            let prepared = Self::from_credentials(case, stage, &[credential]).await;
            // A replica does not pass on before it knows the other one.
            let too_early = prepared.is_err() && case.local().is_some();
            if !too_early || began.elapsed() > PATIENCE {
                return prepared;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The same with these credentials, used in turn.
    ///
    /// # Errors
    /// [`Failure`] when the answer to the first is an error.
    pub async fn from_credentials(
        case: Case,
        stage: &mut Stage,
        credentials: &[String],
    ) -> Result<Self, Failure> {
        let requests: Vec<_> = credentials.iter().map(|text| case.request(text)).collect();
        let mut connection = Connection::open(stage.address()).await?;
        let answer = connection.exchange(requests.first().map_or(&[], |first| first)).await?;
        if !is_as_expected(case, answer) {
            return Err(unexpected(case.name(), answer));
        }
        let answer = Bytes::copy_from_slice(answer.body);
        stage.take_records(1).await?;
        Ok(Self { case, requests, next: 0, answer })
    }

    /// Measures one round on connections of its own.
    ///
    /// # Errors
    /// [`Failure`] when a connection breaks, or an access log lacks records.
    pub async fn round(
        &mut self,
        stage: &mut Stage,
        load: Load,
        minter: &Minter,
    ) -> Result<Round, Failure> {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Connection::open(stage.address()).await?);
        }
        let each = self.count(load).div_ceil(load.connections);
        let warming = each.div_ceil(WARM_UP);
        let lists = self.lists(minter, load.connections, warming);
        let warm = self.ask(connections.into_iter().zip(lists), load.spin).await?;
        stage.take_records(u64::from(warming * load.connections)).await?;
        let lists = self.lists(minter, load.connections, each);
        let before = stage.cpu()?;
        let mut asked = self.ask(warm.connections.into_iter().zip(lists), load.spin).await?;
        let requests = each * load.connections;
        // Writing the records is part of the cost.
        stage.take_records(u64::from(requests)).await?;
        let cpu = stage.cpu()?.saturating_sub(before);
        asked.latencies.sort_unstable();
        Ok(Round {
            cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(requests),
            p50_us: percentile(&asked.latencies, 50),
            p99_us: percentile(&asked.latencies, 99),
            rss_bytes: stage.rss_bytes()?,
            requests,
            errors: warm.errors + asked.errors,
        })
    }

    /// How many requests a round has.
    fn count(&self, load: Load) -> u32 {
        match self.case.credential() {
            Credential::FreshToken(_) => load.requests.div_ceil(FRESH),
            Credential::None | Credential::Session | Credential::Token(_) => load.requests,
        }
    }

    /// What each connection sends. Tokens are signed before anything is measured.
    fn lists(&mut self, minter: &Minter, connections: u32, each: u32) -> Vec<Requests> {
        let list = |_connection: u32| -> Requests {
            if let Credential::FreshToken(signed) = self.case.credential() {
                return (0..each).map(|_| self.case.request(&minter.mint(signed))).collect();
            }
            let times = usize::try_from(each).unwrap_or_default();
            let all = self.requests.iter().cycle().skip(self.next);
            let list = all.take(times).cloned().collect();
            self.next = (self.next + times) % self.requests.len().max(1);
            list
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
const UNKNOWN_SESSION: &str =
    "1.q3dWb0Zt.1795219200.zm5dO4pEJ0m3mGWMSrYh8f.V2cYdXTR0aLq9w1B7uKxEzm5dO4pEJ0m3mGWMSrYh8f";

/// Opens the session of a case, where its owner is.
async fn open_one(case: Case, stage: &mut Stage) -> Result<String, Failure> {
    let mut connection = Connection::open(stage.sessions_address()).await?;
    let id = open_session(&mut connection, &initialize("bench")).await?;
    // Where requests are passed on, only the records of those count.
    stage.take_records(u64::from(case.local().is_none())).await?;
    Ok(id)
}

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
