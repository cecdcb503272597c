//! Many clients that ask at once, and what was wrong with what they were answered.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    http::{Answer, Connection, Request},
    mcp::{Client, Reply},
    minter,
    process::until,
};

/// How many of them ask at the same time.
const THREADS: usize = 16;
/// A connection is closed after so many requests, so that the next goes elsewhere.
const CONNECTION_REQUESTS: usize = 8;
/// Every so many clients open a connection for each request.
const SINGLE: usize = 2;
/// Every so many steps of a session is a question to the backend, or a look at its stream.
const RARE: u64 = 8;

/// The tools that Promgate has, and how many a subject of [`subjects`] is given.
const TOOLS: usize = 3;

/// Principals with the number of tools that [`rules`] give them.
const SUBJECTS: [(&str, usize); 4] = [("ann", TOOLS), ("ben", 1), ("cleo", TOOLS), ("dan", 1)];

/// Rules that let principals of a crowd see different tools, so that one who is taken for another is noticed.
#[must_use]
pub fn rules() -> Value {
    let named = |tools: usize| {
        let named = SUBJECTS.iter().filter(move |(_, given)| *given == tools);
        named.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    json!({ "rules": [
        { "name": "all", "who": { "subjects": named(TOOLS) }, "tools": ["*"], "backends": ["*"] },
        { "name": "one", "who": { "subjects": named(1) }, "tools": ["prometheus_query"], "backends": ["*"] },
    ] })
}

/// What a crowd does besides `ping` and `tools/list`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    /// Queries, of a Prometheus that answers.
    pub queries: bool,
    /// Looks at the session's stream.
    pub streams: bool,
}

/// Many sessions of several principals.
pub struct Crowd {
    address: SocketAddr,
    members: Vec<Member>,
    habits: Habits,
    next_id: AtomicU64,
    asked: AtomicUsize,
}

struct Member {
    client: Client,
    tools: usize,
    steps: AtomicU64,
    /// Its session was ended on purpose, or lost.
    gone: AtomicBool,
}

/// What was asked, and what was wrong with the answers.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that were sent.
    pub asked: usize,
    /// What was wrong.
    pub faults: Vec<Fault>,
}

/// One wrong answer.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When the request began.
    pub began: Instant,
    /// When it failed.
    pub at: Instant,
    /// Whose it was.
    pub member: usize,
    /// What was wrong.
    pub what: What,
}

/// What can be wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The session is not known.
    Lost,
    /// It is the answer to another request, or to another principal.
    Crossed(String),
    /// No whole answer came.
    Broken(String),
    /// An answer with another status than that of success.
    Status(u16, String),
}

impl Tally {
    fn count(&mut self, fault: Option<Fault>) {
        self.asked += 1;
        self.faults.extend(fault);
    }

    /// Sessions that were lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.faults.iter().filter(|fault| fault.what == What::Lost).count()
    }

    /// Nothing was wrong.
    ///
    /// # Panics
    /// When something was.
    #[track_caller]
    pub fn assert_clean(&self) {
        let shown = self.faults.iter().take(5).map(|fault| &fault.what).collect::<Vec<_>>();
        let count = self.faults.len();
        assert!(count == 0, "{count} of {} requests went wrong: {shown:#?}", self.asked);
        assert!(self.asked > 0, "something was asked");
    }
}

/// A thread's connection.
///
/// A server may close a connection on which it was asked nothing for a while just when it is asked something. Clients
/// know that, and ask once more on a new connection if the old one ended without a byte of an answer. So does this one,
/// which could hide that a request got lost inside a server; therefore every other line keeps no connection at
/// all, and forgives nothing.
struct Line {
    address: SocketAddr,
    connection: Option<Connection>,
    used: usize,
    used_max: usize,
}

impl Line {
    fn new(address: SocketAddr, number: usize) -> Self {
        let used_max = if number.is_multiple_of(SINGLE) { 1 } else { CONNECTION_REQUESTS };
        Self { address, connection: None, used: 0, used_max }
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Reply> {
        if let Some(mut connection) = self.connection.take() {
            match connection.try_send(request.bytes()).and_then(|()| connection.try_answer()) {
                Ok(answer) => return Ok(self.keep(connection, answer)),
                Err(_closed) if connection.is_unanswered() => {}
                Err(error) => return Err(error),
            }
        }
        self.used = 0;
        let mut connection = Connection::try_open(self.address)?;
        connection.try_send(request.bytes())?;
        let answer = connection.try_answer()?;
        Ok(self.keep(connection, answer))
    }

    fn keep(&mut self, connection: Connection, answer: Answer) -> Reply {
        self.used += 1;
        if self.used < self.used_max && !answer.head.says("connection", "close") {
            self.connection = Some(connection);
        }
        Reply::of(answer)
    }
}

impl Crowd {
    /// Opens so many sessions.
    ///
    /// # Panics
    /// When one is refused.
    #[must_use]
    pub fn open(address: SocketAddr, count: usize, habits: Habits) -> Self {
        let members = Mutex::new(Vec::with_capacity(count));
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _thread in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let member = Member::open(address, number);
                        members.lock().push(member);
                    }
                });
            }
        });
        let (members, next_id) = (members.into_inner(), AtomicU64::new(1));
        Self { address, members, habits, next_id, asked: AtomicUsize::new(0) }
    }

    /// The same clients, who connect to another address from now on.
    #[must_use]
    pub fn through(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Waits until so many more requests were answered, in [`Crowd::ask_while`].
    ///
    /// # Panics
    /// When they are not.
    pub fn wait_for(&self, more: usize) {
        let asked = || self.asked.load(Ordering::Relaxed);
        let wanted = asked() + more;
        until("the crowd asks on", || asked() >= wanted);
    }

    /// How many sessions it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.iter().filter(|member| !member.is_gone()).count()
    }

    /// Ids of its sessions.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        let living = self.members.iter().filter(|member| !member.is_gone());
        living.filter_map(|member| member.client.session_id()).collect()
    }

    /// Every session sends so many requests.
    #[must_use]
    pub fn ask(&self, steps: usize) -> Tally {
        let left: Vec<_> = self.members.iter().map(|_| AtomicUsize::new(steps)).collect();
        self.run(|number| {
            let left = left.get(number);
            left.is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) > 0)
        })
    }

    /// All sessions send requests, one after the other, until `act` is over.
    ///
    /// # Panics
    /// When `act` does.
    #[must_use]
    pub fn ask_while<T>(&self, act: impl FnOnce() -> T) -> (Tally, T) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| self.run(|_| !over.load(Ordering::Relaxed)));
            // The crowd must end also when the act fails.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            over.store(true, Ordering::Relaxed);
            let tally = asking.join().expect("the crowd asks");
            (tally, done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Each thread goes round its members as long as `goes_on` for the one whose turn it is.
    fn run(&self, goes_on: impl Fn(usize) -> bool + Sync) -> Tally {
        let tally = Mutex::new(Tally::default());
        thread::scope(|scope| {
            for first in 0..THREADS {
                let (tally, goes_on) = (&tally, &goes_on);
                scope.spawn(move || {
                    let mut line = Line::new(self.address, first);
                    let mut own: Vec<_> = (first..self.members.len()).step_by(THREADS).collect();
                    while !own.is_empty() {
                        own.retain(|number| {
                            let member = &self.members[*number];
                            if member.is_gone() || !goes_on(*number) {
                                return false;
                            }
                            let began = Instant::now();
                            let what = self.step(&mut line, member).err();
                            let (at, member) = (Instant::now(), *number);
                            let fault = what.map(|what| Fault { began, at, member, what });
                            tally.lock().count(fault);
                            self.asked.fetch_add(1, Ordering::Relaxed);
                            true
                        });
                    }
                });
            }
        });
        tally.into_inner()
    }

    /// One request of one session, chosen by how many it has sent.
    fn step(&self, line: &mut Line, member: &Member) -> Result<(), What> {
        let step = member.steps.fetch_add(1, Ordering::Relaxed);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        match step % RARE {
            3 if self.habits.queries => member.query(line, id),
            5 if self.habits.streams => member.listen(line),
            even if even % 2 == 0 => member.ping(line, id),
            _odd => member.list(line, id),
        }
    }

    /// Every `nth` session is ended by its client.
    ///
    /// # Panics
    /// When it cannot be ended, or is still there.
    #[must_use]
    pub fn delete_each(&self, nth: usize) -> usize {
        let leaving: Vec<_> = self.members.iter().step_by(nth).collect();
        thread::scope(|scope| {
            for part in leaving.chunks(leaving.len().div_ceil(THREADS).max(1)) {
                scope.spawn(|| part.iter().for_each(|member| member.leave(self.address)));
            }
        });
        leaving.len()
    }
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Member {
    fn open(address: SocketAddr, number: usize) -> Self {
        let (subject, tools) = SUBJECTS[number % SUBJECTS.len()];
        let client = Client::session_of(address, "2025-11-25", &token(subject));
        let client = client.unconnected();
        Self { client, tools, steps: AtomicU64::default(), gone: AtomicBool::default() }
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn ask(&self, line: &mut Line, id: u64, method: &str, params: Value) -> Result<Value, What> {
        let reply = line.exchange(&self.client.request_with_id(&json!(id), method, params));
        let reply = reply.map_err(|error| What::Broken(format!("{method}: {error}")))?;
        match reply.status() {
            200 => {}
            404 => {
                self.gone.store(true, Ordering::Relaxed);
                return Err(What::Lost);
            }
            other => return Err(What::Status(other, reply.http.text())),
        }
        let response = reply.response();
        if response["id"] != id || response["result"].is_null() {
            return Err(What::Crossed(format!("{method} {id} was answered by {response}")));
        }
        Ok(response["result"].clone())
    }

    fn ping(&self, line: &mut Line, id: u64) -> Result<(), What> {
        let result = self.ask(line, id, "ping", json!({}))?;
        expect(result == json!({}), || format!("ping: {result}"))
    }

    fn list(&self, line: &mut Line, id: u64) -> Result<(), What> {
        let result = self.ask(line, id, "tools/list", json!({}))?;
        let tools = result["tools"].as_array().map(Vec::len);
        expect(tools == Some(self.tools), || format!("{tools:?} tools, not {}", self.tools))
    }

    /// Asks for a number that nobody else asks for.
    fn query(&self, line: &mut Line, id: u64) -> Result<(), What> {
        let query = format!("vector({id})");
        let params = json!({ "name": "prometheus_query", "arguments": { "query": query } });
        let result = self.ask(line, id, "tools/call", params)?;
        let value = result["structuredContent"]["series"][0]["value"][1].as_str();
        expect(value == Some(&id.to_string()), || format!("vector({id}): {result}"))
    }

    /// Opens the session's stream and leaves it.
    fn listen(&self, line: &Line) -> Result<(), What> {
        let broken = |error: io::Error| What::Broken(format!("stream: {error}"));
        let mut connection = Connection::try_open(line.address).map_err(broken)?;
        let request = self.client.bodiless("GET").header("Accept", "text/event-stream");
        connection.try_send(request.bytes()).map_err(broken)?;
        let head = connection.try_head().map_err(broken)?;
        match head.status {
            200 => {}
            404 => {
                self.gone.store(true, Ordering::Relaxed);
                return Err(What::Lost);
            }
            other => return Err(What::Status(other, "stream".to_owned())),
        }
        let first = connection.piece().map_err(broken)?;
        expect(first.is_some(), || "an empty stream".to_owned())
    }

    fn leave(&self, address: SocketAddr) {
        let client = self.client.through(address);
        assert_eq!(client.delete().status(), 204);
        assert_eq!(client.call("ping", json!({})).status(), 404, "it has ended");
        self.gone.store(true, Ordering::Relaxed);
    }
}

fn expect(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), What> {
    if is_so { Ok(()) } else { Err(What::Crossed(otherwise())) }
}

/// The same token for each session of a subject, as a client has it.
fn token(subject: &str) -> String {
    static TOKENS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
    let mut tokens = TOKENS.lock();
    if let Some((_, token)) = tokens.iter().find(|(name, _)| name == subject) {
        return token.clone();
    }
    let token = minter::token(subject);
    tokens.push((subject.to_owned(), token.clone()));
    token
}
