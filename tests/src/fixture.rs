//! The MCP handler of the conformance suite and of the fault tests.
//!
//! It holds every tool, prompt and resource that the official suite calls by name, and tools that
//! misbehave on request. It says nothing about HTTP: the fixture server mounts it behind the same
//! edge and workers that serve Promgate's own tools.

mod answer;
mod ask;
mod catalogue;
mod faults;
mod prompts;
mod resources;
mod rounds;
mod talk;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mcp_core::server::{Change, Changes};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams,
        CompleteResult, GetPromptRequestParams, GetPromptResponse, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerConfig,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::RequestContext,
};
use serde_json::json;

use self::{faults::Faults, rounds::Rounds};

/// The handler; clones share their state.
#[derive(Clone)]
pub struct Fixture(Arc<State>);

struct State {
    faults: Faults,
    rounds: Rounds,
    toggled: AtomicBool,
    changes: Changes,
}

impl Fixture {
    /// A handler that announces through `changes` when its lists changed.
    #[must_use]
    pub fn new(changes: Changes) -> Self {
        let (faults, rounds) = (Faults::default(), Rounds::default());
        Self(Arc::new(State { faults, rounds, toggled: AtomicBool::new(false), changes }))
    }

    fn tools(&self) -> Result<Vec<Tool>, ErrorData> {
        answer::built(catalogue::tools(self.0.toggled.load(Ordering::Relaxed)))
    }

    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let state = &*self.0;
        let name = request.name.to_string();
        if name.starts_with("test_input_required_result_") || name == "test_streaming_elicitation" {
            return state.rounds.call(&name, &request, &context);
        }
        if faults::NAMES.contains(&name.as_str()) {
            return Ok(state.faults.call(&name, request, context).await?.into());
        }
        if ask::NAMES.contains(&name.as_str()) {
            return Ok(ask::call(&name, request, context).await?.into());
        }
        match name.as_str() {
            "toggle_tools" => {
                let was = state.toggled.fetch_xor(true, Ordering::Relaxed);
                state.changes.announce(&Change::Tools);
                Ok(answer::text(&format!("toggled: {}", !was))?.into())
            }
            "test_trigger_tool_change" => {
                state.changes.announce(&Change::Tools);
                Ok(answer::text("the tool list was announced as changed")?.into())
            }
            "test_trigger_prompt_change" => {
                state.changes.announce(&Change::Prompts);
                Ok(answer::text("the prompt list was announced as changed")?.into())
            }
            "test_missing_capability" => Ok(ask::needs_sampling(&context)?.into()),
            _ => Ok(answer::plain(&name, &request, &context).await?.into()),
        }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "logging": {},
            "completions": {},
            "tools": { "listChanged": true },
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true, "listChanged": true },
        });
        let capabilities = answer::built(capabilities).unwrap_or_default();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("fixture", env!("CARGO_PKG_VERSION")))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.answer(request, context).await
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools()?))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools().ok()?.into_iter().find(|tool| tool.name == name)
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(answer::built(catalogue::prompts())?))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name == "test_input_required_result_prompt" {
            return self.0.rounds.prompt(&request, &context);
        }
        Ok(prompts::get(&request)?.into())
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(answer::built(catalogue::resources())?))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = answer::built(catalogue::resource_templates())?;
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(&request.uri)?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&request)
    }

    #[expect(deprecated, reason = "session revisions still have this method")]
    async fn set_level(
        &self,
        _request: rmcp::model::SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }
}

/// What a fixture tool answers.
type ToolAnswer = Result<CallToolResult, ErrorData>;
