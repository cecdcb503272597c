//! What to paste where, to connect a client to the demo.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use serde_json::{Value, json};
use url::Url;

/// A question whose answer is in the shop's past.
const EXAMPLE: &str = "which shop instance was in trouble in the last hour, and how badly?";

/// Where the running demo is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// The MCP endpoint.
    pub(super) mcp: &'a Url,
    /// Where `/metrics` and the health checks are.
    pub(super) admin: SocketAddr,
    /// The usual ports that were busy.
    pub(super) busy: &'a [u16],
    /// The demo's Prometheus.
    pub(super) backend: &'a Url,
    /// Promgate's executable.
    pub(super) executable: &'a Path,
    /// The config that the edge runs on.
    pub(super) config_file: &'a Path,
    /// Where each request leaves its line.
    pub(super) access_log: &'a Path,
}

impl Setting<'_> {
    /// Prints the addresses and one snippet a client.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let url = self.mcp;
        writeln!(out, "\nConnect a client\n")?;
        writeln!(out, "  MCP endpoint       {url}")?;
        writeln!(out, "  Prometheus         {}", self.backend)?;
        writeln!(out, "  Promgate's metrics http://{}/metrics", self.admin)?;
        writeln!(out, "  Config             {}", self.config_file.display())?;
        writeln!(out, "  Access log         {}", self.access_log.display())?;
        for port in self.busy {
            writeln!(out, "  Note               port {port} is busy, so a free one was taken")?;
        }
        writeln!(out, "\n  Claude Code, in a shell:\n")?;
        writeln!(out, "    claude mcp add --transport http promgate {url}\n")?;
        for (client, snippet) in self.snippets() {
            writeln!(out, "  {client}:\n")?;
            format!("{snippet:#}").lines().try_for_each(|line| writeln!(out, "    {line}"))?;
            writeln!(out)?;
        }
        writeln!(out, "  Any client that speaks stdio, through mcp-remote:\n")?;
        writeln!(out, "    npx -y mcp-remote {url} --transport http-only\n")?;
        writeln!(out, "Then ask, for example: {EXAMPLE}")?;
        writeln!(out, "Serving until Ctrl-C.")?;
        out.flush()
    }

    /// Each client's file with what belongs in it.
    fn snippets(&self) -> [(&'static str, Value); 4] {
        let url = self.mcp.as_str();
        let bridge = ["-y", "mcp-remote", url, "--transport", "http-only"];
        let bridge = json!({"command": "npx", "args": bridge});
        let stdio = json!({
            "command": self.executable,
            "args": ["stdio", "--config", self.config_file],
        });
        [
            (
                "Claude Desktop, claude_desktop_config.json",
                json!({"mcpServers": {"promgate": bridge}}),
            ),
            (
                "The same without npm: over stdio, for as long as this demo runs",
                json!({"mcpServers": {"promgate": stdio}}),
            ),
            (
                "Cursor, ~/.cursor/mcp.json or .cursor/mcp.json",
                json!({"mcpServers": {"promgate": {"url": url}}}),
            ),
            (
                "VS Code, .vscode/mcp.json",
                json!({"servers": {"promgate": {"type": "http", "url": url}}}),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed() -> String {
        let setting = Setting {
            mcp: &Url::parse("http://127.0.0.1:50123/mcp").unwrap(),
            backend: &Url::parse("http://127.0.0.1:9999/").unwrap(),
            busy: &[8080],
            admin: ([127, 0, 0, 1], 50124).into(),
            executable: Path::new("/opt/with space/promgate"),
            config_file: Path::new("/tmp/x/promgate.yaml"),
            access_log: Path::new("/tmp/x/access.log"),
        };
        let mut out = Vec::new();
        setting.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The snippets as a reader would paste them.
    fn pasted() -> Vec<Value> {
        let out = printed();
        let mut found = Vec::new();
        let mut block = String::new();
        for line in out.lines().filter_map(|line| line.strip_prefix("    ")) {
            if line.starts_with(['{', '}', ' ']) {
                block += line;
            }
            if line == "}" {
                found.push(serde_json::from_str(&block).expect(&block));
                block.clear();
            }
        }
        found
    }

    #[test]
    fn every_snippet_can_be_pasted_as_it_is_printed() {
        let servers = |value: &Value, key: &str| value[key]["promgate"].is_object();
        let pasted = pasted();
        let keys: Vec<bool> = pasted.iter().map(|value| servers(value, "mcpServers")).collect();
        assert_eq!(keys, [true, true, true, false]);
        assert!(servers(&pasted[3], "servers"), "VS Code names them otherwise");
        assert_eq!(pasted[1]["mcpServers"]["promgate"]["command"], "/opt/with space/promgate");
    }

    #[test]
    fn every_client_is_given_the_port_that_was_chosen() {
        assert!(printed().matches("http://127.0.0.1:50123/mcp").count() >= 6);
        assert!(!printed().contains(":8080"));
        assert!(printed().contains("port 8080 is busy"));
    }
}
