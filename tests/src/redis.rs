//! A real Redis, for whoever keeps sessions in it.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use redis::{
    Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisResult,
};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    paths::{temporary_folder, tool},
    place::Place,
    process::{PATIENCE, Process},
    tls::{Authority, Leaf},
};

/// How a server is to be.
#[derive(Debug, Default)]
pub struct Settings {
    /// Asked of everybody who connects.
    pub password: Option<String>,
    /// It speaks TLS, with a certificate of an authority of its own.
    pub tls: bool,
    /// It refuses to keep more than this many bytes.
    pub memory_bytes_max: Option<u64>,
    /// It writes every change to its disk, so that a kill loses nothing.
    pub durable: bool,
}

/// A Redis on a port of its own; dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    /// For our own questions, always without TLS.
    backdoor: SocketAddr,
    _place: Place,
    settings: Settings,
    tls: Option<(Authority, Leaf)>,
    data: TempDir,
    server: Option<Process>,
}

impl Redis {
    /// Starts one without password and TLS that keeps everything in memory.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(settings: Settings) -> Self {
        let mut redis = Self::stopped(settings);
        redis.start_again();
        redis
    }

    /// Prepares one that is not there yet.
    #[must_use]
    pub fn stopped(settings: Settings) -> Self {
        // Its ports must be free when it starts again.
        let place = Place::find();
        let tls = settings.tls.then(|| {
            let authority = Authority::new("redis");
            let leaf = authority.issue_for(place.at(0).ip());
            (authority, leaf)
        });
        let backdoor = place.at(17_004);
        let address = if tls.is_some() { place.at(17_005) } else { backdoor };
        let data = temporary_folder();
        Self { address, backdoor, _place: place, settings, tls, data, server: None }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that its certificate is of, when it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.tls.as_ref().map(|(authority, _)| authority)
    }

    /// Starts it at its old address, with what its disk keeps.
    ///
    /// # Panics
    /// When it does not come up within [`PATIENCE`].
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let server = Process::start(&tool("redis/redis-server"), self.arguments());
        let ready = |line: &str| line.contains("Ready to accept connections");
        server.stdout().wait_for("that Redis is ready", ready);
        self.server = Some(server);
    }

    /// Kills it. What is not on its disk is gone.
    ///
    /// # Panics
    /// When it lives on.
    pub fn kill(&mut self) {
        let server = self.server.take().expect("it runs");
        server.signal(Signal::KILL);
        assert!(server.wait(PATIENCE).is_some(), "a killed process ends");
    }

    /// Stops it as a debugger would: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it runs").signal(signal);
    }

    /// Asks it something, word by word.
    ///
    /// # Panics
    /// When it refuses.
    #[expect(clippy::must_use_candidate, reason = "not every answer says something")]
    pub fn ask<T: FromRedisValue>(&self, words: &[&[u8]]) -> T {
        self.try_ask(words).expect("it does as it is told")
    }

    /// Asks it something that it may refuse.
    ///
    /// # Errors
    /// What it says, or that it is not there.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&[u8]]) -> RedisResult<T> {
        let address = ConnectionAddr::Tcp(self.backdoor.ip().to_string(), self.backdoor.port());
        let mut introduction = RedisConnectionInfo::default();
        if let Some(password) = &self.settings.password {
            introduction = introduction.set_password(password);
        }
        let there = address.into_connection_info()?.set_redis_settings(introduction);
        let mut question = Cmd::new();
        for word in words {
            question.arg(*word);
        }
        question.query(&mut Client::open(there)?.get_connection()?)
    }

    /// The names of all that it keeps that begin so, in order.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&[b"KEYS", format!("{prefix}*").as_bytes()]);
        keys.sort();
        keys
    }

    /// All bytes that it keeps: names, texts, members of sets.
    #[must_use]
    pub fn everything(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for key in self.keys("") {
            let text = self.try_ask::<Vec<u8>>(&[b"GET", key.as_bytes()]);
            let held = text.unwrap_or_else(|_a_set| {
                let range: [&[u8]; 5] = [b"ZRANGE", key.as_bytes(), b"0", b"-1", b"WITHSCORES"];
                self.ask::<Vec<Vec<u8>>>(&range).join(&b' ')
            });
            bytes.extend([key.into_bytes(), held].join(&b' '));
        }
        bytes
    }

    /// Waits until `wanted` is so.
    ///
    /// # Panics
    /// When it is not within [`PATIENCE`].
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(self) {
            assert!(Instant::now() < deadline, "not so: {what}");
            pause();
        }
    }
}

impl Redis {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut set = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
        set("bind", self.backdoor.ip().to_string());
        set("port", self.backdoor.port().to_string());
        set("dir", self.data.path().display().to_string());
        set("save", String::new());
        set("maxmemory-policy", "noeviction".to_owned());
        if self.settings.durable {
            set("appendonly", "yes".to_owned());
            set("appendfsync", "always".to_owned());
        }
        if let Some(bytes) = self.settings.memory_bytes_max {
            set("maxmemory", bytes.to_string());
        }
        if let Some(password) = &self.settings.password {
            set("requirepass", password.clone());
        }
        if let Some((authority, leaf)) = &self.tls {
            set("tls-port", self.address.port().to_string());
            set("tls-ca-cert-file", authority.certificate().display().to_string());
            set("tls-cert-file", leaf.certificate.display().to_string());
            set("tls-key-file", leaf.key.display().to_string());
            set("tls-auth-clients", "no".to_owned());
        }
        arguments
    }
}

/// A server tells nobody what it has come to; it can only be asked again.
#[expect(clippy::disallowed_methods, reason = "a test thread has nothing else to do")]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}
