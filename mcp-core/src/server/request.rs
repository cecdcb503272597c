//! Requests as rmcp's types, read by the method that they name.
//!
//! rmcp's own union tries every variant in turn and lets a request with wrong parameters fall through
//! to "custom request", which would be answered as an unknown method. Reading by method costs a third
//! and says what is wrong with the parameters.

#![expect(deprecated, reason = "the older revisions that we serve have these requests")]

use std::borrow::Cow;

use rmcp::{
    ErrorData,
    model::{
        CallToolRequest, CallToolRequestParams, CancelTaskRequest, ClientRequest, CompleteRequest,
        ConstString, CustomRequest, DiscoverRequest, GetPromptRequest, GetTaskRequest, JsonObject,
        ListPromptsRequest, ListResourceTemplatesRequest, ListResourcesRequest, ListToolsRequest,
        PaginatedRequestParams, PingRequest, ReadResourceRequest, RequestMetaObject,
        RequestOptionalParam, SetLevelRequest, SubscribeRequest, SubscriptionsListenRequest,
        UnsubscribeRequest, UpdateTaskRequest,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::wire::{Request, Text};

/// The request's own metadata. Malformed metadata counts as none; the era check has refused it where
/// the spec requires it.
pub(super) fn metadata(request: &Request<'_>) -> RequestMetaObject {
    request.head.meta.and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default()
}

/// The request as rmcp's type.
///
/// # Errors
/// -32602 when the parameters are not those of the method.
pub(super) fn typed(request: &Request<'_>) -> Result<ClientRequest, ErrorData> {
    let raw = request.params;
    Ok(match request.method.as_ref() {
        "tools/call" => CallToolRequest::new(call_params(raw)?).into(),
        "tools/list" => list::<_>(raw).map(ListToolsRequest::into_request)?,
        "ping" => PingRequest::default().into(),
        // It has no parameters but the metadata, which was read already.
        "server/discover" => DiscoverRequest::default().into(),
        "completion/complete" => CompleteRequest::new(required(raw)?).into(),
        "logging/setLevel" => SetLevelRequest::new(required(raw)?).into(),
        "prompts/get" => GetPromptRequest::new(required(raw)?).into(),
        "prompts/list" => list(raw).map(ListPromptsRequest::into_request)?,
        "resources/list" => list(raw).map(ListResourcesRequest::into_request)?,
        "resources/templates/list" => list(raw).map(ListResourceTemplatesRequest::into_request)?,
        "resources/read" => ReadResourceRequest::new(required(raw)?).into(),
        "resources/subscribe" => SubscribeRequest::new(required(raw)?).into(),
        "resources/unsubscribe" => UnsubscribeRequest::new(required(raw)?).into(),
        "subscriptions/listen" => SubscriptionsListenRequest::new(required(raw)?).into(),
        "tasks/get" => GetTaskRequest::new(required(raw)?).into(),
        "tasks/update" => UpdateTaskRequest::new(required(raw)?).into(),
        "tasks/cancel" => CancelTaskRequest::new(required(raw)?).into(),
        other => {
            let params = raw.map(|raw| parse(raw.get())).transpose()?;
            CustomRequest::new(other.to_owned(), params).into()
        }
    })
}

/// A request of the stateless era as rmcp's type. Methods that this era has dropped are unknown in it,
/// whatever their parameters.
///
/// # Errors
/// -32602 when the parameters are not those of the method.
pub(super) fn typed_stateless(request: &Request<'_>) -> Result<ClientRequest, ErrorData> {
    match request.method.as_ref() {
        dropped @ ("logging/setLevel" | "resources/subscribe" | "resources/unsubscribe") => {
            Ok(CustomRequest::new(dropped.to_owned(), None).into())
        }
        _ => typed(request),
    }
}

/// The three list requests differ in their method type alone.
trait IntoRequest {
    fn into_request(self) -> ClientRequest;
}

impl<M: ConstString + Default> IntoRequest for RequestOptionalParam<M, PaginatedRequestParams>
where
    ClientRequest: From<Self>,
{
    fn into_request(self) -> ClientRequest {
        self.into()
    }
}

fn list<M: Default>(
    raw: Option<&RawValue>,
) -> Result<RequestOptionalParam<M, PaginatedRequestParams>, ErrorData> {
    let params: Option<PaginatedRequestParams> = raw.map(|raw| parse(raw.get())).transpose()?;
    let mut request = RequestOptionalParam::<M, _>::with_param(params.unwrap_or_default());
    if raw.is_none() {
        request.params = None;
    }
    Ok(request)
}

/// `tools/call` parameters without the metadata, which was read already.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallParams<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default)]
    arguments: Option<JsonObject>,
    #[serde(default, borrow)]
    input_responses: Option<&'a RawValue>,
    #[serde(default)]
    request_state: Option<String>,
}

fn call_params(raw: Option<&RawValue>) -> Result<CallToolRequestParams, ErrorData> {
    let read: CallParams<'_> = parse(raw.map_or("{}", RawValue::get))?;
    let mut params = CallToolRequestParams::new(Cow::Owned(read.name.0.into_owned()));
    params.arguments = read.arguments;
    params.input_responses = read.input_responses.map(|raw| parse(raw.get())).transpose()?;
    params.request_state = read.request_state;
    Ok(params)
}

fn required<P: DeserializeOwned>(raw: Option<&RawValue>) -> Result<P, ErrorData> {
    parse(raw.map_or("{}", RawValue::get))
}

fn parse<'a, P: Deserialize<'a>>(raw: &'a str) -> Result<P, ErrorData> {
    serde_json::from_str(raw)
        .map_err(|error| ErrorData::invalid_params(format!("invalid params: {error}"), None))
}

#[cfg(test)]
mod tests {
    use super::{super::wire, *};

    fn typed_of(body: &str) -> Result<ClientRequest, ErrorData> {
        let wire::Message::Request(request) = wire::parse(body.as_bytes()).unwrap() else {
            panic!("a request")
        };
        typed(&request)
    }

    #[test]
    fn wrong_parameters_are_invalid_params_and_not_an_unknown_method() {
        let error =
            typed_of(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#);
        assert!(error.is_err());
        let error = typed_of(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read"}"#).unwrap_err();
        assert_eq!(error.code, rmcp::model::ErrorCode::INVALID_PARAMS);
        assert!(error.message.contains("uri"), "{}", error.message);
    }

    #[test]
    fn parameters_nested_too_deep_are_refused() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","arguments":{{"a":{deep}}}}}}}"#
        );
        let error = typed_of(&body).unwrap_err();
        assert!(error.message.contains("recursion limit"), "{}", error.message);
    }

    #[test]
    fn an_unknown_method_is_a_custom_request() {
        let request = typed_of(r#"{"jsonrpc":"2.0","id":1,"method":"nope/nope"}"#).unwrap();
        assert!(matches!(request, ClientRequest::CustomRequest(_)));
    }
}
