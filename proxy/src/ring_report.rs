//! `promgate ring`: who owns how much, and who owns one session.

use std::{
    fmt::{self, Write as _},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use mcp_core::session::SessionId;
use pingora::{
    connectors::{ConnectorOptions, http::Connector},
    http::RequestHeader,
    prelude::HttpPeer,
};

use crate::{
    admin::RING,
    cluster::{NodeView, View},
    config::Config,
    enquiry::{self, Row, shown, table},
    ring::{NodeName, Ring},
};

/// Longest time to wait for the replica's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, in bytes: 256 replicas with names as long as names can be take a third of it.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Why the ring cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The configuration has no admin listener to ask.
    #[error(
        "`server.admin.host` is off, so the replica cannot be asked; name the replicas with `--node NAME=WORKERS`"
    )]
    NoAdmin,
    /// The runtime cannot start.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The replica does not answer.
    #[error(
        "no answer from the admin listener at {address}; is `promgate serve` running with this configuration?"
    )]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Box<pingora::Error>,
    },
    /// It took too long.
    #[error("no answer from the admin listener at {0} within 5 s")]
    Slow(SocketAddr),
    /// What it answered is no ring.
    #[error("the answer from {0} is no description of a ring")]
    NotARing(SocketAddr),
    /// A replica named by hand is not `NAME=WORKERS`.
    #[error("`{0}` is not NAME=WORKERS, such as 10.0.0.1:8081=4")]
    Node(String),
    /// What was given is no session id.
    #[error("what came on standard input is no session id")]
    Session,
    /// Standard input cannot be read.
    #[error("cannot read the session id from standard input")]
    Input(#[source] io::Error),
}

/// The ring as text.
#[derive(Debug)]
pub struct Report {
    view: View,
    session: Option<SessionId>,
}

impl Report {
    /// A report of these replicas, and of the session's owner.
    ///
    /// # Errors
    /// [`RingError::Session`] when the text is no session id.
    pub fn new(view: View, session: Option<&str>) -> Result<Self, RingError> {
        let read = |text: &str| SessionId::parse(text.trim().as_bytes());
        let session = session.map(read).transpose().map_err(|_malformed| RingError::Session)?;
        Ok(Self { view, session })
    }

    fn write_owner(&self, f: &mut fmt::Formatter<'_>, id: &SessionId) -> fmt::Result {
        let owns = |node: &&NodeView| node.owns();
        let nodes = self.view.nodes.iter().filter(owns);
        let ring = Ring::new(nodes.map(|node| (node.name.clone(), node.workers)));
        if id.seat() == id.as_str() {
            f.write_str("The id is not in our form: no replica has given it to a client.\n")?;
        }
        match ring.owner(id.seat()) {
            Some(owner) => {
                let name = shown(owner.node.as_str());
                writeln!(f, "The session is owned by worker {} of {name}.", owner.worker.0)
            }
            None => f.write_str("Nobody owns the session: no replica has a worker.\n"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.view.nodes.iter().map(|node| {
            let name = shown(node.name.as_str());
            let state = if node.is_self { "up (asked)" } else { &*node.state };
            let share = format!("{:.1} %", node.share * 100.0);
            let cells = vec![name, node.workers.to_string(), state.to_owned(), share];
            Row { cells, remark: None }
        });
        f.write_str(&table(&["replica", "workers", "state", "share"], rows))?;
        writeln!(f, "ring {}", shown(&self.view.version))?;
        match &self.session {
            Some(id) => {
                f.write_char('\n')?;
                self.write_owner(f, id)
            }
            None => Ok(()),
        }
    }
}

/// Asks the replica that serves this configuration.
///
/// # Errors
/// [`RingError`].
pub fn ask(config: &Config) -> Result<View, RingError> {
    let address = reachable(config.server.admin.ok_or(RingError::NoAdmin)?);
    let asked = enquiry::ask(get_in_time(address)).map_err(RingError::Runtime)?;
    let body = asked?;
    serde_json::from_slice(&body).map_err(|_not_a_ring| RingError::NotARing(address))
}

/// Replicas named by hand, all of them up.
///
/// # Errors
/// [`RingError::Node`].
pub fn named(nodes: &[String]) -> Result<View, RingError> {
    let read = |text: &String| {
        let (name, workers) = text.rsplit_once('=')?;
        Some((NodeName::parse(name).ok()?, workers.parse().ok()?))
    };
    let nodes: Vec<(NodeName, u16)> = nodes
        .iter()
        .map(|text| read(text).ok_or_else(|| RingError::Node(text.clone())))
        .collect::<Result<_, _>>()?;
    Ok(View::of(&Ring::new(nodes)))
}

async fn get_in_time(address: SocketAddr) -> Result<Vec<u8>, RingError> {
    match tokio::time::timeout(PATIENCE, get(address)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(source)) => Err(RingError::Unreachable { address, source }),
        Err(_elapsed) => Err(RingError::Slow(address)),
    }
}

async fn get(address: SocketAddr) -> pingora::Result<Vec<u8>> {
    // Pingora loads the platform's authorities, and panics where there are none; no TLS is spoken here.
    let mut options = ConnectorOptions::new(0);
    options.ca_file = Some("/dev/null".to_owned());
    let connector: Connector = Connector::new(Some(options));
    let peer = HttpPeer::new(address, false, String::new());
    let (mut session, _reused) = connector.get_http_session(&peer).await?;
    let mut header = RequestHeader::build("GET", RING.as_bytes(), Some(1))?;
    header.insert_header(http::header::HOST, address.to_string())?;
    session.write_request_header(Box::new(header)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let mut body = Vec::new();
    while let Some(piece) = session.read_response_body().await? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A listener on every address of this machine is reached by its loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}
