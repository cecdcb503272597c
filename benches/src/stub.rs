//! An MCP handler with eight tools that answers in process.
//!
//! Its list is as long as that of a real server, its tools ask no backend: what remains is the cost of
//! getting there and back.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        Implementation, ListToolsResult, PaginatedRequestParams, ResultType, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

/// The tool that is called.
pub const TOOL: &str = "stub";

/// Names of all tools: a closed set of metric labels.
pub const TOOL_NAMES: [&str; 8] = [
    TOOL,
    "stub_range_query",
    "stub_list_metrics",
    "stub_list_labels",
    "stub_label_values",
    "stub_find_series",
    "stub_alerts",
    "stub_rules",
];

/// The handler.
#[derive(Debug)]
pub struct Stub {
    info: ServerConfig,
    tools: Vec<Tool>,
}

impl Stub {
    /// Makes the handler.
    ///
    /// # Errors
    /// When a tool is not well formed.
    pub fn new() -> Result<Self, serde_json::Error> {
        let tools: Result<_, _> =
            TOOL_NAMES.iter().map(|name| serde_json::from_value(tool(name))).collect();
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let info = ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("stub", env!("CARGO_PKG_VERSION")));
        Ok(Self { info, tools: tools? })
    }
}

/// A tool described at the length that models need.
fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "title": "Query metrics at one time",
        "description": "Evaluates a PromQL expression at one time and answers with the value of every \
            series. Aggregate, use topk() or add label matchers rather than fetching every series.",
        "inputSchema": { "type": "object", "additionalProperties": false, "required": ["query"],
            "properties": {
                "query": { "type": "string", "description": "PromQL expression" },
                "time": { "type": "string", "description": "RFC 3339, Unix seconds, or now-1h" },
                "backend": { "type": "string", "description": "Which backend to ask" },
                "limit": { "type": "integer", "minimum": 1, "description": "Most series" } } },
        "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": true },
    })
}

impl ServerHandler for Stub {
    fn get_info(&self) -> ServerConfig {
        self.info.clone()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult {
            result_type: Some(ResultType::COMPLETE),
            meta: None,
            next_cursor: None,
            ttl_ms: Some(300_000),
            cache_scope: Some(CacheScope::Private),
            tools: self.tools.clone(),
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != TOOL {
            return Err(ErrorData::invalid_params("only `stub` can be called", None));
        }
        let mut result = CallToolResult::success(vec![ContentBlock::text("1 series\nup 1")]);
        result.structured_content = Some(json!({ "resultType": "vector", "result": [
            { "metric": { "__name__": "up", "job": "prometheus" }, "value": [1_795_000_000, "1"] },
        ] }));
        Ok(result.into())
    }
}
