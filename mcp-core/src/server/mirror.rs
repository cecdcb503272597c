//! Headers that mirror the body, checked against the body.
//!
//! Whoever routes or authorises by such a header must be able to trust it, so a request whose
//! headers say something else than its body is refused.
//!
//! Spec: MCP 2026-07-28, Streamable HTTP, request headers (SEP-2243).

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderName};
use rmcp::model::JsonObject;
use serde_json::Value;
use serde_json::value::RawValue;

use super::wire::Request;

/// `MCP-Protocol-Version`.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Start of the headers that mirror tool arguments.
const PARAM_PREFIX: &str = "mcp-param-";

/// A tool argument that the client mirrors into a header.
#[derive(Debug, Clone)]
pub(super) struct MirroredArgument {
    header: HeaderName,
    path: Vec<String>,
}

/// The annotated arguments of a tool's input schema, nested objects included.
pub(super) fn mirrored_arguments(schema: &JsonObject) -> Vec<MirroredArgument> {
    let mut found = Vec::new();
    collect(schema.get("properties"), &mut Vec::new(), &mut found);
    found
}

fn collect(properties: Option<&Value>, path: &mut Vec<String>, found: &mut Vec<MirroredArgument>) {
    let Some(Value::Object(properties)) = properties else { return };
    for (name, schema) in properties {
        path.push(name.clone());
        if let Some(Value::String(label)) = schema.get("x-mcp-header")
            && let Ok(header) = HeaderName::try_from(format!("{PARAM_PREFIX}{label}"))
        {
            found.push(MirroredArgument { header, path: path.clone() });
        }
        collect(schema.get("properties"), path, found);
        path.pop();
    }
}

/// The value of a header that may appear once.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("the {name} header appears more than once"));
    }
    value.to_str().map(Some).map_err(|_bytes| format!("the {name} header is not visible ASCII"))
}

/// Checks `Mcp-Method` and `Mcp-Name` of a request.
pub(super) fn check(headers: &HeaderMap, request: &Request<'_>) -> Result<(), String> {
    match single(headers, &METHOD)? {
        None => return Err("the Mcp-Method header is missing".to_owned()),
        Some(method) if method != request.method => {
            return Err(format!(
                "the Mcp-Method header `{method}` does not match the body's method `{}`",
                request.method
            ));
        }
        Some(_) => {}
    }
    let head = &request.head;
    let named = match request.method.as_ref() {
        "tools/call" | "prompts/get" => head.name(),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => head.uri(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => head.task_id(),
        _ => None,
    };
    let Some(named) = named else { return Ok(()) };
    let Some(mirrored) = single(headers, &NAME)? else {
        return Err(format!("the Mcp-Name header is missing; `{}` needs it", request.method));
    };
    let mirrored = decode(mirrored).ok_or("the Mcp-Name header is not valid Base64 of UTF-8")?;
    if mirrored == named {
        return Ok(());
    }
    Err(format!("the Mcp-Name header `{mirrored}` does not match the body's `{named}`"))
}

/// Checks the `Mcp-Param-*` headers of a `tools/call`.
pub(super) fn check_arguments(
    headers: &HeaderMap,
    mirrored: &[MirroredArgument],
    params: Option<&RawValue>,
) -> Result<(), String> {
    if mirrored.is_empty() {
        return Ok(());
    }
    let params: Value =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or(Value::Null);
    let arguments = params.get("arguments").unwrap_or(&Value::Null);
    mirrored.iter().try_for_each(|argument| check_argument(headers, argument, arguments))
}

fn check_argument(
    headers: &HeaderMap,
    argument: &MirroredArgument,
    arguments: &Value,
) -> Result<(), String> {
    let MirroredArgument { header, path } = argument;
    let in_body = path.iter().try_fold(arguments, |value, key| value.get(key)).and_then(primitive);
    match (single(headers, header)?, in_body) {
        (None, None) => Ok(()),
        (Some(_), None) => {
            Err(format!("the {header} header mirrors `{}`, which the body lacks", path.join(".")))
        }
        (None, Some(_)) => {
            Err(format!("the {header} header is missing; the body has `{}`", path.join(".")))
        }
        (Some(value), Some(expected)) => match decode(value) {
            Some(value) if value == expected => Ok(()),
            Some(_) => {
                Err(format!("the {header} header does not match the body's `{}`", path.join(".")))
            }
            None => Err(format!("the {header} header is not valid Base64 of UTF-8")),
        },
    }
}

fn primitive(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Undoes the `=?base64?…?=` form in which a value that is no header text travels.
fn decode(value: &str) -> Option<Cow<'_, str>> {
    let Some(coded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="))
    else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = BASE64_STANDARD.decode(coded).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::{super::wire, *};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn check_call(pairs: &[(&'static str, &str)]) -> Result<(), String> {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"größe"}}"#;
        let wire::Message::Request(request) = wire::parse(body.as_bytes()).unwrap() else {
            panic!("a request")
        };
        check(&headers(pairs), &request)
    }

    #[test]
    fn headers_that_say_what_the_body_says_pass() {
        let coded = ("mcp-name", "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(check_call(&[("mcp-method", "tools/call"), coded]), Ok(()));
    }

    #[test]
    fn a_missing_differing_or_doubled_header_is_refused() {
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "=?base64?Z3LDtsOfZQ==?=");
        for bad in [
            vec![],
            vec![method],
            vec![name],
            vec![("mcp-method", "tools/list"), name],
            vec![method, ("mcp-name", "other")],
            vec![method, ("mcp-name", "=?base64?%%%?=")],
            vec![method, method, name],
        ] {
            assert!(check_call(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mirrored_argument_must_be_in_both_places_and_equal() {
        let schema = serde_json::json!({"properties": {"t": {"type": "object", "properties":
            {"id": {"type": "string", "x-mcp-header": "Tenant"}}}}});
        let Value::Object(schema) = schema else { panic!("an object") };
        let mirrored = mirrored_arguments(&schema);
        let verdict = |pairs: &[(&'static str, &str)], params: &str| {
            let params = RawValue::from_string(params.to_owned()).unwrap();
            check_arguments(&headers(pairs), &mirrored, Some(&params))
        };
        let body = r#"{"arguments":{"t":{"id":"a"}}}"#;
        assert!(verdict(&[("mcp-param-tenant", "a")], body).is_ok());
        assert!(verdict(&[("mcp-param-tenant", "b")], body).is_err());
        assert!(verdict(&[], body).is_err());
        assert!(verdict(&[("mcp-param-tenant", "a")], r#"{"arguments":{}}"#).is_err());
        assert!(verdict(&[], "{}").is_ok());
    }
}
