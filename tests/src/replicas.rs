//! Several Promgates that share sessions, with a balancer in front.

use std::{fmt, net::SocketAddr, path::PathBuf};

use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    balancer::Balancer,
    http::{self, Request},
    mcp::Client,
    paths::temporary_folder,
    place::Place,
    process::{PATIENCE, settles, until},
    server::{Server, guarded, write_whole},
};

/// What admin calls are made with.
pub const ADMIN_TOKEN: &str = "an-admin-token-that-nobody-guesses";
/// A key of sessions.
pub const SESSION_KEY: &str = "a key of sessions for the tests: 32 bytes and more";
/// A key of what replicas tell one another.
pub const CLUSTER_KEY: &str = "a key of replicas for the tests: 32 bytes and more";

/// Changes the configuration of one replica, told by its number.
type Change = dyn Fn(usize, &mut Value) + Send + Sync;

/// Several Promgates that share sessions.
pub struct Replicas {
    all: Vec<Replica>,
    balancer: Balancer,
    change: Box<Change>,
    /// Where they find one another, unless a test says otherwise.
    peers: PathBuf,
    files: TempDir,
}

/// One of them.
#[derive(Debug)]
pub struct Replica {
    place: Place,
    upgrade_socket: PathBuf,
    config: Value,
    server: Mutex<Option<Server>>,
}

impl Replicas {
    /// Starts so many, and waits until they know one another.
    ///
    /// # Panics
    /// When one does not come up.
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self::start_with(count, |_, _| {})
    }

    /// The same, each with a change of its configuration.
    ///
    /// # Panics
    /// When one does not come up.
    #[must_use]
    pub fn start_with(
        count: usize,
        change: impl Fn(usize, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        let replicas = Self::begin_at(Place::several(count), change);
        replicas.settle();
        replicas
    }

    /// Starts one at each place, and does not wait until they know one another.
    ///
    /// # Panics
    /// When one does not come up.
    #[must_use]
    pub fn begin_at(
        places: Vec<Place>,
        change: impl Fn(usize, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        let files = temporary_folder();
        let peers = files.path().join("peers");
        let balancer = Balancer::start();
        let change = Box::new(change);
        let mut replicas = Self { all: Vec::new(), balancer, change, peers, files };
        for place in places {
            replicas.place(place);
        }
        replicas.write_peers();
        for replica in &replicas.all {
            replica.start();
        }
        replicas
    }

    /// Starts one more and tells the others, but does not wait until they know it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn add(&mut self) -> &Replica {
        self.place(Place::find());
        self.write_peers();
        let replica = self.all.last().expect("one was just added");
        replica.start();
        replica
    }

    fn place(&mut self, place: Place) {
        let number = self.all.len();
        let upgrade_socket = self.files.path().join(format!("upgrade-{number}"));
        let mut config = config(&place);
        config["cluster"]["peers"] = json!({ "file": { "path": self.peers, "interval": "200ms" } });
        config["server"]["upgrade_socket"] = json!(upgrade_socket);
        (self.change)(number, &mut config);
        self.balancer.add(place.mcp(), place.admin());
        self.all.push(Replica { place, upgrade_socket, config, server: Mutex::new(None) });
    }

    fn write_peers(&self) {
        let lines = self.all.iter().map(|replica| format!("{}\n", replica.name()));
        write_whole(&self.peers, &lines.collect::<String>());
    }

    /// The balancer in front of them.
    #[must_use]
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// All of them, those that do not run included.
    #[must_use]
    pub fn all(&self) -> &[Replica] {
        &self.all
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none of this number.
    #[must_use]
    pub fn at(&self, number: usize) -> &Replica {
        &self.all[number]
    }

    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &Replica> {
        self.all.iter().filter(|replica| replica.runs())
    }

    /// Waits until all that run see all that run, and nobody else, in the same ring.
    ///
    /// # Panics
    /// When they do not agree.
    pub fn settle(&self) {
        let settled = settles(|| self.is_settled());
        assert!(settled, "the replicas do not agree on the ring:\n{}", self.said());
    }

    /// What all that run say of the ring, and the ends of their logs.
    fn said(&self) -> String {
        let said = self.running().map(|replica| {
            let log = replica.with(|server| server.process().stderr().lines());
            let end = log.len().saturating_sub(8);
            format!("{} {:#}\n{}\n", replica.name(), replica.ring(), log[end..].join("\n"))
        });
        said.collect()
    }

    fn is_settled(&self) -> bool {
        let mut names: Vec<_> = self.running().map(Replica::name).collect();
        names.sort();
        let rings: Vec<_> = self.running().map(Replica::ring).collect();
        let same = rings.iter().all(|ring| ring["version"] == rings[0]["version"]);
        same && rings.iter().all(|ring| living(ring) == names)
    }

    /// How many sessions all that run hold.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.running().map(|replica| count(&replica.sessions(), "sessions")).sum()
    }

    /// The sum of a metric over all that run.
    #[must_use]
    pub fn metric_sum(&self, name: &str) -> f64 {
        self.running().map(|replica| replica.with(|server| server.metric_sum(name))).sum()
    }
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Replicas");
        shown.field("all", &self.all).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Replica {
    /// Its name among the replicas, which is where they reach it.
    ///
    /// # Panics
    /// When its configuration has none.
    #[must_use]
    pub fn name(&self) -> String {
        self.config["cluster"]["advertise"].as_str().expect("it has a name").to_owned()
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Where MCP is served.
    #[must_use]
    pub fn mcp(&self) -> SocketAddr {
        self.place.mcp()
    }

    /// How it is configured.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.server.lock().is_some()
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(&self) {
        *self.server.lock() = Some(Server::promgate(&self.config));
    }

    /// Does something with its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn with<T>(&self, act: impl FnOnce(&Server) -> T) -> T {
        act(self.server.lock().as_ref().expect("the replica runs"))
    }

    /// Ends it by `kill -9`, and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self) -> Server {
        let server = self.server.lock().take().expect("the replica runs");
        server.process().signal(Signal::KILL);
        let _status = server.exit(PATIENCE);
        server
    }

    /// Asks it to end, and waits until it has: with 0.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(&self) -> Server {
        // It must be there to be asked while it ends.
        self.with(Server::terminate);
        let status = self.with(|server| server.exit(PATIENCE));
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
        self.server.lock().take().expect("the replica runs")
    }

    /// Puts a new process into its place, which takes over its sockets; waits until the old one has ended, with 0.
    ///
    /// # Panics
    /// When the new one does not come up, or the old one does not end.
    pub fn upgrade(&self) -> Server {
        let new = Server::begin_upgrade(&self.config);
        until("the new process waits for sockets", || self.upgrade_socket.exists());
        self.with(|old| old.process().signal(Signal::QUIT));
        let old = self.server.lock().replace(new.listening()).expect("the replica runs");
        let status = old.exit(PATIENCE);
        assert_eq!(status.code(), Some(0), "{}", old.process().stderr().lines().join("\n"));
        old
    }

    /// Reads a changed configuration, and waits until that is done.
    ///
    /// # Panics
    /// When it is refused.
    pub fn reload(&self, change: impl FnOnce(&mut Value)) {
        let mut next = self.config.clone();
        change(&mut next);
        self.with(|server| server.reload(&next));
    }

    /// What it says of the ring.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn ring(&self) -> Value {
        self.admin("/admin/ring")
    }

    /// What it says of its sessions.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn sessions(&self) -> Value {
        self.admin("/admin/sessions")
    }

    fn admin(&self, target: &str) -> Value {
        let answer = http::get(self.place.admin(), target);
        assert_eq!(answer.head.status, 200, "{target}: {}", answer.text());
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Ends all sessions of a subject, on all replicas.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn end_sessions(&self, subject: &Value, token: Option<&str>) -> http::Answer {
        let mut request = Request::new("POST", "/admin/sessions/end").json(subject);
        if let Some(token) = token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        http::once(self.place.admin(), &request.header("Connection", "close"))
    }

    /// Opens a session here, so that it is held here.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn session(&self, token: &str) -> Client {
        Client::session_of(self.mcp(), "2025-11-25", token)
    }

    /// The value of one series of its metrics.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        self.with(|server| server.metric(series))
    }

    /// The sum of every series of one of its metrics.
    #[must_use]
    pub fn metric_sum(&self, name: &str) -> f64 {
        self.with(|server| server.metric_sum(name))
    }

    /// What it has printed on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.with(|server| server.process().stderr().lines().join("\n"))
    }
}

/// A number in what the admin listener says.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn count(said: &Value, name: &str) -> u64 {
    said[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {said}"))
}

/// Names of the nodes that live, as a ring says.
fn living(ring: &Value) -> Vec<String> {
    let nodes = ring["nodes"].as_array().into_iter().flatten();
    let up = nodes.filter(|node| node["state"] == "up" || node["self"] == true);
    let mut names: Vec<_> = up.filter_map(|node| Some(node["name"].as_str()?.to_owned())).collect();
    names.sort();
    names
}

/// The configuration of a replica at a place, but for its peers. It asks for tokens.
fn config(place: &Place) -> Value {
    let mut config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    let server = &mut config["server"];
    server["transport"]["http"]["host"] = json!(place.mcp().to_string());
    server["admin"] = json!({ "host": place.admin().to_string(), "token": ADMIN_TOKEN });
    server["reload_interval"] = json!("0s");
    config["sessions"] = json!({ "keys": [SESSION_KEY], "per_principal_max": 10_000 });
    config["cluster"] = json!({
        "listen": place.peer().to_string(),
        "advertise": place.peer().to_string(),
        "keys": [CLUSTER_KEY],
        // A busy machine must not make a replica look dead; one whose port is shut is known to be at once.
        "probe": { "interval": "500ms", "timeout": "500ms", "down_after": 10, "up_after": 1 },
    });
    config
}
