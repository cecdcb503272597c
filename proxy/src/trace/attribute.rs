//! The attributes that spans have. There are no others, and none holds text of a client.

use std::fmt::Write as _;

/// One attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name. Those that begin with `promgate.` are ours, all others are of the semantic conventions.
    pub name: &'static str,
    /// The spans that have it.
    spans: &'static str,
    /// What it says.
    meaning: &'static str,
}

const fn attribute(name: &'static str, spans: &'static str, meaning: &'static str) -> Attribute {
    Attribute { name, spans, meaning }
}

/// Declares the attributes, and the list of them all.
macro_rules! attributes {
    ($($constant:ident = $name:literal, $spans:literal, $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub const $constant: Attribute = attribute($name, $spans, $meaning);
        )+

        /// All of them, in the order of the table.
        pub const ALL: &[Attribute] = &[$($constant,)+];
    };
}

attributes! {
    HTTP_METHOD = "http.request.method", "edge, hop, backend", "Method of the request, `_OTHER` when it is an unusual one.";
    HTTP_STATUS = "http.response.status_code", "edge, hop, backend", "Status of the answer.";
    HTTP_ROUTE = "http.route", "edge", "The configured path of the MCP endpoint, where the request was for it.";
    URL_SCHEME = "url.scheme", "edge", "`http`, or `https` between replicas that use TLS.";
    URL_PATH = "url.path", "edge", "The same as `http.route`; other paths are a client's text.";
    URL_TEMPLATE = "url.template", "backend", "What the backend was asked for, below its base address.";
    HTTP_RESEND = "http.request.resend_count", "backend", "How often it was asked before in this call.";
    PROTOCOL_NAME = "network.protocol.name", "worker", "`http`.";
    PROTOCOL_VERSION = "network.protocol.version", "edge, worker", "Version of HTTP.";
    TRANSPORT = "network.transport", "worker", "`tcp`.";
    SERVER_ADDRESS = "server.address", "edge, hop, backend", "Our own address, the other replica, or the host of the backend.";
    SERVER_PORT = "server.port", "edge, hop, backend", "Its port.";
    ERROR_TYPE = "error.type", "all", "Why it failed, if it did: an outcome, a status, the code of a JSON-RPC error, or `tool_error` for a result that says of itself that it is one.";
    RPC_SYSTEM = "rpc.system.name", "worker", "`jsonrpc`.";
    RPC_METHOD = "rpc.method", "worker", "The same as `mcp.method.name`.";
    RPC_STATUS = "rpc.response.status_code", "worker", "Code of the JSON-RPC error, where the answer is one.";
    MCP_METHOD = "mcp.method.name", "worker, or edge without one", "The MCP method, `_OTHER` when it is not known.";
    MCP_VERSION = "mcp.protocol.version", "worker", "Revision of MCP.";
    RPC_ID = "jsonrpc.request.id", "worker", "The request's id, where it is a number.";
    GEN_AI_OPERATION = "gen_ai.operation.name", "worker", "Of a tool's call: `execute_tool`.";
    GEN_AI_TOOL = "gen_ai.tool.name", "worker, tool", "The tool, one of our own.";
    OUTCOME = "promgate.outcome", "edge, tool", "How it ended, as the metrics say it.";
    REASON = "promgate.reason", "edge", "Why it was refused, in one word.";
    ERA = "promgate.era", "edge", "`session` or `stateless`.";
    OWNER = "promgate.owner", "edge", "The replica that owns the session.";
    HOPS = "promgate.hops", "edge", "How many replicas the request passed through before this one.";
    WORKER = "promgate.worker", "worker", "Number of the worker.";
    BACKEND = "promgate.backend", "backend", "Configured name of the backend.";
}

/// The table of all attributes, as it stands in `docs/telemetry.md`.
#[must_use]
pub fn table() -> String {
    let mut text = "| attribute | spans | meaning |\n|---|---|---|\n".to_owned();
    for Attribute { name, spans, meaning } in ALL {
        // Writing to a text does not fail.
        writeln!(text, "| `{name}` | {spans} | {meaning} |").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_attributes_that_there_are() {
        let page = include_str!("../../../docs/telemetry.md");
        assert!(page.contains(&table()), "docs/telemetry.md is to hold\n{}", table());
    }

    #[test]
    fn no_attribute_is_declared_twice() {
        let mut names: Vec<_> = ALL.iter().map(|attribute| attribute.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
