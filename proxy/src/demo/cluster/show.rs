//! What is shown: a session outlives the replica that owns it.

use std::{
    io::{self, Write},
    time::Instant,
};

use super::{
    Cluster,
    record::{self, Way},
    replica::Replica,
    ring::{self, Ring},
    session::{Answer, Session, Survival},
};
use crate::demo::{call, error::DemoError};

/// Opens a session and asks through every replica, kills the owner and asks again, brings it back and
/// asks through every replica once more.
pub(super) async fn show(
    out: &mut (impl Write + Send),
    cluster: &Cluster,
) -> Result<(), DemoError> {
    let client = call::client().map_err(DemoError::Call)?;
    let replicas = &cluster.replicas;
    let ring = ring::whole(&client, replicas).await?;
    print(introduce(out, cluster, &ring))?;

    let (mut session, opened) = Session::open(&client, &cluster.endpoint).await?;
    print(head(out))?;
    let owner = report(out, replicas, "initialize", &opened).await?.owner;
    report(out, replicas, "initialized", &session.begin().await?).await?;
    round(out, replicas, &mut session).await?;

    let pid = owner.process().pid().unwrap_or_default();
    print(writeln!(
        out,
        "\nkill -9 {pid}: {}, the owner, is gone. The client asks again, with the same session id:\n",
        owner.name()
    ))?;
    owner.process().kill().await?;
    let Survival { answer, tries, after } = session.ask_until_answered(Instant::now()).await?;
    let heir = report(out, replicas, "tools/call", &answer).await?.owner;
    print(writeln!(
        out,
        "\nThe session survived: {} took it over from Redis and answered {} ms after the kill, at try {tries}.",
        heir.name(),
        after.as_millis()
    ))?;

    let begun = Instant::now();
    owner.process().revive()?;
    ring::whole(&client, replicas).await?;
    print(writeln!(
        out,
        "\n{} was started again, as process {}, and is back on the ring after {:.1} s. The session goes on:\n",
        capitalised(owner.name()),
        owner.process().pid().unwrap_or_default(),
        begun.elapsed().as_secs_f64()
    ))?;
    round(out, replicas, &mut session).await
}

/// Asks as many times as there are replicas.
async fn round(
    out: &mut (impl Write + Send),
    replicas: &[Replica],
    session: &mut Session<'_>,
) -> Result<(), DemoError> {
    for _ in replicas {
        report(out, replicas, "tools/call", &session.ask().await?).await?;
    }
    Ok(())
}

/// Prints a line for one request; yields the way that it went.
async fn report<'r>(
    out: &mut (impl Write + Send),
    replicas: &'r [Replica],
    what: &str,
    answer: &Answer,
) -> Result<Way<'r>, DemoError> {
    let way = record::way(replicas, &answer.request_id).await?;
    print(line(out, what, &way, answer))?;
    Ok(way)
}

fn print(printed: io::Result<()>) -> Result<(), DemoError> {
    printed.map_err(DemoError::Print)
}

fn introduce(out: &mut impl Write, cluster: &Cluster, ring: &Ring) -> io::Result<()> {
    writeln!(
        out,
        "{} replicas of promgate, one Redis that keeps their sessions, and a balancer that gives each \
         connection\nto the next replica:\n",
        cluster.replicas.len()
    )?;
    writeln!(out, "  balancer   {}", cluster.endpoint)?;
    for replica in &cluster.replicas {
        let pid = replica.process().pid().unwrap_or_default();
        write!(out, "  {}  {}  process {pid}", replica.name(), replica.place().peer)?;
        if let Some(node) = ring.node(replica) {
            let share = node.share * 100.0;
            write!(out, "  {} workers  {share:.1} % of the ring", node.workers)?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}

fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "A client opens a session and asks, over a new connection each time:\n")?;
    writeln!(out, "  {:<12} {:<10} {:<10} answer", "request", "came to", "owner")
}

fn line(out: &mut impl Write, what: &str, way: &Way<'_>, answer: &Answer) -> io::Result<()> {
    let (entry, owner) = (way.entry.name(), way.owner.name());
    let (status, ms) = (answer.status.as_u16(), answer.took.as_millis());
    write!(out, "  {what:<12} {entry:<10} {owner:<10} {status} after {ms} ms")?;
    if !answer.said.is_empty() {
        write!(out, ": {}", answer.said)?;
    }
    writeln!(out)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
