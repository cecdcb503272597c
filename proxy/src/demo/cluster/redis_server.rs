//! A real Redis for the sessions of the replicas.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use mcp_core::secret::Secret;

use super::keys::random_key;
use crate::demo::{
    error::DemoError,
    prometheus::free_address,
    ready,
    supervisor::{Launch, Supervisor},
};

/// A free port may be taken by another before Redis has it; then another is tried.
const ATTEMPTS: u32 = 3;

/// The names of its config and of what it says, in the folder.
const CONFIG: &str = "redis.conf";
const LOG: &str = "redis.log";

/// A running Redis that keeps nothing on disk; it ends when dropped.
#[derive(Debug)]
pub(super) struct Redis {
    process: Supervisor,
    address: SocketAddr,
    password: Secret,
}

impl Redis {
    /// Starts `program` on a free port of loopback with a random password, and waits until it answers.
    /// Blocks.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, DemoError> {
        let password = random_key()?;
        let mut output = String::new();
        for _ in 0..ATTEMPTS {
            let address = free_address()?;
            let config = folder.join(CONFIG);
            write_config(&config, address, &password).map_err(DemoError::Folder)?;
            let process = Supervisor::start(Launch {
                args: vec![config.display().to_string()],
                ..Launch::of("Redis", program, folder.join(LOG))
            })?;
            if ready::wait(&process, || answers(address, &password)) {
                return Ok(Self { process, address, password });
            }
            output = process.last_words();
        }
        Err(DemoError::NotReady { name: "Redis".to_owned(), output })
    }

    /// Its address, as the configuration has it, and its password.
    pub(super) fn access(&self) -> (String, Secret) {
        (format!("redis://{}/0", self.address), self.password.clone())
    }

    /// The process.
    pub(super) fn process(&self) -> &Supervisor {
        &self.process
    }
}

/// A file, since arguments can be read by every user of the machine.
fn write_config(path: &Path, address: SocketAddr, password: &Secret) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    let (ip, port, password) = (address.ip(), address.port(), password.expose());
    write!(file, "bind {ip}\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\n")
}

fn answers(address: SocketAddr, password: &Secret) -> io::Result<bool> {
    const GOOD: &[u8] = b"+OK\r\n+PONG\r\n";
    let mut answer = [0; GOOD.len()];
    let request = format!("AUTH {}\r\nPING\r\n", password.expose());
    ready::exchange(address, request.as_bytes(), &mut answer)?;
    Ok(answer == *GOOD)
}
