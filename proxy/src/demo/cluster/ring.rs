//! What replicas tell of their ring: `GET /admin/ring`.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::time;

use super::replica::Replica;
use crate::demo::{call, error::DemoError};

/// How long the replicas may take to agree. One that comes back is taken in again after some probes.
const TIMEOUT: Duration = Duration::from_mins(1);

/// How often they are asked.
const LOOK: Duration = Duration::from_millis(100);

/// The ring as one replica sees it.
#[derive(Debug, Deserialize)]
pub(super) struct Ring {
    // Equal where the ring is; more is not to be known of it.
    version: Value,
    /// All replicas that it knows.
    pub(super) nodes: Vec<Node>,
}

/// A replica on the ring.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    /// Where the others reach it.
    pub(super) name: String,
    /// How many workers it has.
    pub(super) workers: u32,
    /// Which part of all sessions it owns, 0 to 1.
    pub(super) share: f64,
    state: String,
}

/// Waits until all replicas see all of them, alive and in the same ring.
pub(super) async fn whole(client: &Client, replicas: &[Replica]) -> Result<Ring, DemoError> {
    let begun = Instant::now();
    loop {
        match agreed(client, replicas).await {
            Ok(ring) => return Ok(ring),
            Err(said) if begun.elapsed() > TIMEOUT => {
                let (count, after_s) = (replicas.len(), begun.elapsed().as_secs());
                return Err(DemoError::RingNotWhole { count, after_s, said });
            }
            Err(_) => time::sleep(LOOK).await,
        }
    }
}

/// The ring if all agree, else what one of them said.
async fn agreed(client: &Client, replicas: &[Replica]) -> Result<Ring, String> {
    let mut first: Option<Ring> = None;
    for replica in replicas {
        let said = ask(client, replica).await.map_err(|error| error.to_string())?;
        let ring: Ring = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        let same = first.as_ref().is_none_or(|first| first.version == ring.version);
        if !same || !ring.has_all(replicas.len()) {
            return Err(said);
        }
        first = Some(ring);
    }
    first.ok_or_else(String::new)
}

async fn ask(client: &Client, replica: &Replica) -> reqwest::Result<String> {
    let url = format!("http://{}/admin/ring", replica.place().admin);
    call::read(client.get(url).send().await?.error_for_status()?).await
}

impl Ring {
    fn has_all(&self, count: usize) -> bool {
        self.nodes.len() == count && self.nodes.iter().all(|node| node.state == "up")
    }

    /// The node of this replica.
    pub(super) fn node(&self, replica: &Replica) -> Option<&Node> {
        let name = replica.place().peer.to_string();
        self.nodes.iter().find(|node| node.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_whole_when_so_many_are_up() {
        let node = |state| {
            format!(r#"{{"name":"a:1","workers":2,"state":"{state}","share":0.5,"self":true}}"#)
        };
        let whole = |nodes: &[String], count| {
            let text = format!(r#"{{"version":"7f","node":"a:1","nodes":[{}]}}"#, nodes.join(","));
            serde_json::from_str::<Ring>(&text).unwrap().has_all(count)
        };
        assert!(whole(&[node("up"), node("up")], 2));
        assert!(!whole(&[node("up"), node("down")], 2));
        assert!(!whole(&[node("up"), node("up")], 3));
    }
}
