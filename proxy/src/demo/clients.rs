//! What to paste where, to connect a client to the demo.

use std::{
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};
use url::Url;

/// Where the running demo is.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The MCP endpoint.
    pub mcp: &'a Url,
    /// The demo's Prometheus.
    pub backend: &'a Url,
    /// Promgate's executable.
    pub executable: &'a Path,
    /// The config for `promgate stdio`.
    pub stdio_config: &'a Path,
}

/// Prints the addresses and one snippet a client.
pub(super) fn print(out: &mut impl Write, setting: &Setting<'_>) -> io::Result<()> {
    let url = setting.mcp;
    writeln!(out, "\nConnect a client\n")?;
    writeln!(out, "  MCP endpoint       {url}")?;
    writeln!(out, "  Prometheus         {}\n", setting.backend)?;
    writeln!(out, "  Claude Code, in a shell:\n")?;
    writeln!(out, "    claude mcp add --transport http promgate {url}\n")?;
    for (client, snippet) in snippets(setting) {
        writeln!(out, "  {client}:\n")?;
        format!("{snippet:#}").lines().try_for_each(|line| writeln!(out, "    {line}"))?;
        writeln!(out)?;
    }
    writeln!(out, "  Any client that speaks stdio, through mcp-remote:\n")?;
    writeln!(out, "    npx -y mcp-remote {url} --transport http-only\n")?;
    writeln!(
        out,
        "Then ask, for example: which shop instance was in trouble in the last hour, and how badly?"
    )?;
    writeln!(out, "Serving until Ctrl-C.")?;
    out.flush()
}

/// Each client's file with what belongs in it.
fn snippets(setting: &Setting<'_>) -> [(&'static str, Value); 4] {
    let url = setting.mcp.as_str();
    let bridge =
        json!({"command": "npx", "args": ["-y", "mcp-remote", url, "--transport", "http-only"]});
    let stdio = json!({
        "command": setting.executable,
        "args": ["stdio", "--config", setting.stdio_config],
    });
    [
        ("Claude Desktop, claude_desktop_config.json", json!({"mcpServers": {"promgate": bridge}})),
        (
            "Claude Desktop without npm: over stdio, while this demo runs",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn printed() -> String {
        let setting = Setting {
            mcp: &Url::parse("http://127.0.0.1:50123/mcp").unwrap(),
            backend: &Url::parse("http://127.0.0.1:9999/").unwrap(),
            executable: Path::new("/opt/with space/promgate"),
            stdio_config: Path::new("/tmp/x/promgate.yaml"),
        };
        let mut out = Vec::new();
        print(&mut out, &setting).unwrap();
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
    }
}
