//! How a replica connects to another.

use std::{net::SocketAddr, time::Duration};

use pingora::upstreams::peer::HttpPeer;

use super::{certificates::Certificates, discovery::Found};

/// Requests that may be under way on one connection. Streams of events stay open for hours, and each is one.
const STREAMS_MAX: usize = 1000;

/// How often a connection is asked whether anybody is still there. Pingora waits 5 s for the answer, so requests to
/// a machine that was switched off end after 10 s, and do not wait for the timeout of a silent stream.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection that nobody uses stays open.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the other side may be silent within an answer, at least.
const READ_TIMEOUT_MIN: Duration = Duration::from_mins(1);

/// How long the other side may take to accept bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to peers, with or without TLS.
#[derive(Debug)]
pub(super) struct Dial {
    certificates: Option<Certificates>,
    /// Limit of connecting, and of the handshake after it.
    timeout: Duration,
    read_timeout: Duration,
}

impl Dial {
    /// `silence` is how long an answer may be silent while all is well.
    pub(super) fn new(
        certificates: Option<Certificates>,
        timeout: Duration,
        silence: Duration,
    ) -> Self {
        let read_timeout = silence.max(READ_TIMEOUT_MIN);
        Self { certificates, timeout, read_timeout }
    }

    pub(super) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// How Pingora connects to what was found.
    pub(super) fn peer(&self, found: &Found) -> HttpPeer {
        let Found { address, host } = found;
        let mut peer = match &self.certificates {
            Some(certificates) => certificates.peer(*address, host),
            None => plain(*address),
        };
        let options = &mut peer.options;
        options.set_http_version(2, 2);
        options.connection_timeout = Some(self.timeout);
        options.total_connection_timeout = Some(self.timeout.saturating_mul(2));
        options.read_timeout = Some(self.read_timeout);
        options.write_timeout = Some(WRITE_TIMEOUT);
        options.idle_timeout = Some(IDLE_TIMEOUT);
        options.max_h2_streams = STREAMS_MAX;
        options.h2_ping_interval = Some(PING_INTERVAL);
        peer
    }
}

fn plain(address: SocketAddr) -> HttpPeer {
    HttpPeer::new(address, false, String::new())
}
