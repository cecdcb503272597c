//! How to go on with the replicas by oneself.

use std::{
    io::{self, Write},
    path::Path,
};

use url::Url;

use super::replica::{self, Replica};

/// Where the running replicas are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invitation<'a> {
    /// The MCP endpoint, at the balancer.
    pub(super) mcp: &'a Url,
    /// The usual port that was busy.
    pub(super) busy: Option<u16>,
    /// The demo's Prometheus.
    pub(super) prometheus: &'a Url,
    /// Promgate's executable.
    pub(super) executable: &'a Path,
    /// What `promgate ring` is told by.
    pub(super) ring_config: &'a Path,
    /// Where configuration and logs lie.
    pub(super) folder: &'a Path,
    /// The replicas.
    pub(super) replicas: &'a [Replica],
}

impl Invitation<'_> {
    /// Prints where everything is, and what to try.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nTry it yourself\n")?;
        writeln!(out, "  MCP endpoint  {}", self.mcp)?;
        writeln!(out, "  Prometheus    {}", self.prometheus)?;
        writeln!(out, "  Config, logs  {}", self.folder.display())?;
        if let Some(port) = self.busy {
            writeln!(out, "  Note          port {port} is busy, so a free one was taken")?;
        }
        writeln!(out, "\n  Connect Claude Code, or any client as `promgate demo` shows them:\n")?;
        writeln!(out, "    claude mcp add --transport http promgate {}\n", self.mcp)?;
        writeln!(out, "  See the ring, as the first replica has it:\n")?;
        let (executable, config) = (self.executable.display(), self.ring_config.display());
        writeln!(out, "    {executable} ring --config {config}")?;
        if let Some(first) = self.replicas.first() {
            writeln!(out, "    curl http://{}/admin/ring", first.place().admin)?;
        }
        let pause_s = replica::PAUSE.as_secs();
        writeln!(out, "\n  Kill one while you ask; it is started again after {pause_s} s:\n")?;
        for replica in self.replicas {
            let pid = replica.process().pid().unwrap_or_default();
            writeln!(out, "    kill -9 {pid}    # {}", replica.name())?;
        }
        writeln!(out, "\nServing until Ctrl-C.")?;
        out.flush()
    }
}
