//! A real Redis.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
};

use tempfile::TempDir;

use crate::{
    paths::{temporary_folder, tool},
    place::Place,
    process::{PATIENCE, Process, until},
};

/// A Redis on an address of its own; dropping it kills it. It keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    place: Place,
    files: TempDir,
    process: Option<Process>,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Self {
        let mut redis = Self { place: Place::find(), files: temporary_folder(), process: None };
        redis.start_again();
        redis
    }

    /// Its address, as the configuration has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    fn address(&self) -> SocketAddr {
        self.place.at(6379)
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(rustix::process::Signal::KILL);
        assert!(process.wait(PATIENCE).is_some(), "it runs on");
    }

    /// Starts it anew after [`Redis::stop`]: at the same address, and empty.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&mut self) {
        let address = self.address();
        let arguments = [
            "--bind".to_owned(),
            address.ip().to_string(),
            "--port".to_owned(),
            address.port().to_string(),
            "--dir".to_owned(),
            self.files.path().display().to_string(),
            "--save".to_owned(),
            String::new(),
            "--rdbcompression".to_owned(),
            "no".to_owned(),
        ];
        self.process = Some(Process::start(&tool("redis/redis-server"), arguments));
        until("Redis listens", || TcpStream::connect(address).is_ok());
    }

    /// Forgets everything.
    ///
    /// # Panics
    /// When it does not.
    pub fn empty(&self) {
        assert_eq!(self.ask("FLUSHALL"), "+OK");
    }

    /// Sets how many bytes it may take; 0 for any number. What it has stays; it takes nothing more when it is full.
    ///
    /// # Panics
    /// When it does not.
    pub fn set_memory_max(&self, bytes: usize) {
        assert_eq!(self.ask("CONFIG SET maxmemory-policy noeviction"), "+OK");
        assert_eq!(self.ask(&format!("CONFIG SET maxmemory {bytes}")), "+OK");
    }

    /// Number of keys that it holds.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn keys(&self) -> usize {
        let answer = self.ask("DBSIZE");
        let number = answer.strip_prefix(':').and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{answer}"))
    }

    /// Everything that it holds, in the form of a snapshot, not compressed.
    ///
    /// # Panics
    /// When it cannot write one.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        assert_eq!(self.ask("SAVE"), "+OK");
        std::fs::read(self.files.path().join("dump.rdb")).expect("the snapshot was written")
    }

    /// The first line of the answer to a command.
    fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).expect("Redis listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("the bound is not zero");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("Redis reads");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("Redis answers");
        line.trim_end().to_owned()
    }
}
