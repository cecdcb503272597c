//! Waiting until a child answers.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::supervisor::Supervisor;

/// How long a child may take to become ready; each takes a tenth of a second.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often readiness is asked for.
const LOOK: Duration = Duration::from_millis(20);

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until the child answers; false when it died, or took too long. Blocks.
pub(super) fn wait(child: &Supervisor, answers: impl Fn() -> io::Result<bool>) -> bool {
    let deadline = Instant::now() + TIMEOUT;
    // Another process on that port could say ready too, so ours must not have died.
    while Instant::now() < deadline && child.deaths() == 0 {
        if answers().is_ok_and(|ready| ready) && child.deaths() == 0 {
            return true;
        }
        thread::park_timeout(LOOK);
    }
    false
}

/// Whether a GET of `path` is answered with 200.
pub(super) fn says_ok(address: SocketAddr, path: &str) -> io::Result<bool> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    let mut status = [0; 12];
    exchange(address, request.as_bytes(), &mut status)?;
    Ok(status.ends_with(b" 200"))
}

/// Sends `request` and fills `answer` with the beginning of what comes back.
pub(super) fn exchange(address: SocketAddr, request: &[u8], answer: &mut [u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(request)?;
    stream.read_exact(answer)
}
