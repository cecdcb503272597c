//! What waits costs memory: sessions in which nothing happens, streams on which nothing is said.

use std::{net::SocketAddr, time::Duration};

use tokio::task::JoinSet;

use crate::{
    cases::{get_stream, initialize},
    connection::Connection,
    failure::Failure,
    load::open_session,
    process::Server,
};

/// Opened before the first look, so that what a process needs once is not counted.
const WARM_UP: u32 = 16;
/// Sessions are opened over so many connections at once.
const CONNECTIONS: u32 = 16;
/// How long a server may take to become quiet.
const REST: Duration = Duration::from_millis(300);

/// Something of which there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Sessions of clients that say the same of themselves, as all clients of one make do.
    Sessions,
    /// Sessions of clients that are all different.
    DistinctSessions,
    /// GET streams, each with a connection of its own; their sessions are not counted.
    Streams,
}

/// What they cost.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Of what.
    pub kept: Kept,
    /// How many there were.
    pub count: u32,
    /// Resident memory of the process with all of them.
    pub rss_bytes: u64,
    /// Growth of the resident memory, for each.
    pub each_bytes: f64,
}

impl Kept {
    /// Its name in the results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "idle_session",
            Self::DistinctSessions => "idle_session_distinct",
            Self::Streams => "open_stream",
        }
    }

    /// How many bytes one may cost.
    #[must_use]
    pub const fn bytes_max(self) -> f64 {
        match self {
            Self::Sessions | Self::DistinctSessions => 2_000.0,
            Self::Streams => 45_000.0,
        }
    }

    /// Measures `count` of them in a fresh server.
    ///
    /// # Errors
    /// [`Failure`] when the server refuses one.
    pub async fn measure(self, server: &Server, count: u32) -> Result<Share, Failure> {
        let distinct = self == Self::DistinctSessions;
        let ids = open_sessions(server.address, 0..WARM_UP, distinct).await?;
        let (before, after) = match self {
            Self::Sessions | Self::DistinctSessions => {
                let before = at_rest(server).await?;
                let sessions = WARM_UP..WARM_UP + count;
                drop(open_sessions(server.address, sessions, distinct).await?);
                (before, at_rest(server).await?)
            }
            Self::Streams => {
                let more = WARM_UP..WARM_UP + count;
                let sessions = open_sessions(server.address, more, distinct).await?;
                let _warm = open_streams(server.address, &ids).await?;
                let before = at_rest(server).await?;
                let _open = open_streams(server.address, &sessions).await?;
                (before, at_rest(server).await?)
            }
        };
        // Kibibytes fit: the kernel counts no finer, and four tebibytes would be needed to overflow.
        let grown = u32::try_from(after.saturating_sub(before) >> 10).unwrap_or(u32::MAX);
        let each_bytes = f64::from(grown) * 1024.0 / f64::from(count);
        Ok(Share { kept: self, count, rss_bytes: after, each_bytes })
    }
}

async fn at_rest(server: &Server) -> Result<u64, Failure> {
    tokio::time::sleep(REST).await;
    server.rss_bytes()
}

/// Opens a session for each number, and gives their ids. Distinct are those of clients with different names.
///
/// # Errors
/// [`Failure`] when the server refuses one.
pub async fn open_sessions(
    address: SocketAddr,
    numbers: std::ops::Range<u32>,
    distinct: bool,
) -> Result<Vec<String>, Failure> {
    let mut openers = JoinSet::new();
    for first in 0..CONNECTIONS {
        let numbers = numbers.clone().skip(usize::try_from(first).unwrap_or_default());
        let numbers = numbers.step_by(usize::try_from(CONNECTIONS).unwrap_or(1));
        openers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut ids = Vec::new();
            for number in numbers {
                let client = if distinct { format!("bench-{number}") } else { "bench".to_owned() };
                ids.push(open_session(&mut connection, &initialize(&client)).await?);
            }
            Ok::<_, Failure>(ids)
        });
    }
    let opened: Result<Vec<_>, _> = openers.join_all().await.into_iter().collect();
    Ok(opened?.concat())
}

async fn open_streams(address: SocketAddr, ids: &[String]) -> Result<Vec<Connection>, Failure> {
    let mut open = Vec::new();
    for id in ids {
        let mut connection = Connection::open(address).await?;
        connection.open_stream(&get_stream(id)).await?;
        open.push(connection);
    }
    Ok(open)
}
