//! What `tools/list` says of the tools.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::{
    arguments::{Argument, Description, Kind},
    reach::Reach,
    text::push,
};
use crate::{backend::Backend, config::OrgId};

/// Most tenants of one backend that a description names.
const ORGS_SHOWN_MAX: usize = 50;

/// A tool as it is declared.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) arguments: &'static [Argument],
    /// Builds the schema of the structured answer.
    pub(crate) output: fn() -> JsonObject,
}

impl Spec {
    /// The tool as clients see it. Its descriptions name the backends within reach, and their tenants, in a
    /// fixed order.
    pub(crate) fn tool(&self, reach: Reach<'_>) -> Tool {
        let backends: Vec<_> = reach.all().collect();
        let backends = backends.as_slice();
        // Open world: what a call returns is what other systems measured, not a closed set of
        // facts that this server keeps; a client should treat label values as foreign text.
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(true);
        let mut description = self.description.to_owned();
        if let Some(names) = names(backends) {
            push(&mut description, format_args!(" Backends: {names}."));
        }
        Tool::new(self.name, description, Arc::new(self.input(backends)))
            .with_title(self.title)
            .with_annotations(annotations)
            .with_raw_output_schema(Arc::new((self.output)()))
    }

    fn input(&self, backends: &[&Backend]) -> JsonObject {
        let properties =
            self.arguments.iter().map(|a| (a.name.to_owned(), property(a, backends))).collect();
        let required = self.arguments.iter().filter(|a| a.required).map(|a| a.name);
        let mut schema = object(properties, required);
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        schema
    }
}

/// The schema of an object.
pub(crate) fn object(
    properties: JsonObject,
    required: impl Iterator<Item = &'static str>,
) -> JsonObject {
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), Value::Object(properties));
    let required: Vec<_> = required.map(Value::from).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    schema
}

/// Properties that the structured answers of all tools have.
pub(crate) fn common_output(properties: &mut JsonObject) {
    let mut add = |name: &str, schema| drop(properties.insert(name.to_owned(), schema));
    add("backend", text("The backend that answered."));
    add("org_id", text("The tenant that was asked, if any."));
    add("warnings", texts("Warnings of the backend: the answer may be wrong or incomplete."));
    add("infos", texts("Remarks of the backend on the query."));
}

/// Properties of the answers that hold series.
pub(crate) fn series_output(properties: &mut JsonObject) {
    let mut add = |name: &str, schema| drop(properties.insert(name.to_owned(), schema));
    add("query", text("The PromQL that was evaluated; cut when it is very long."));
    let types = ["matrix", "scalar", "string", "vector"];
    add("result_type", json!({"type": "string", "enum": types}));
    let sample = |description: &str| {
        let items = json!({});
        json!({"type": "array", "items": items, "minItems": 2, "maxItems": 2,
            "description": description})
    };
    let value = "Pair of Unix seconds and the value as a string (exact; also NaN, +Inf, -Inf).";
    let histogram = "Pair of Unix seconds and a native histogram.";
    let many = |item: &str| json!({"type": "array", "items": sample(item)});
    add(
        "series",
        json!({
            "type": "array",
            "description": "Series of a vector or matrix, as the Prometheus API writes them.",
            "items": {
                "type": "object",
                "properties": {
                    "metric": {"type": "object", "additionalProperties": {"type": "string"},
                        "description": "Labels; __name__ is the metric's name."},
                    "value": sample(value),
                    "values": many(value),
                    "histogram": sample(histogram),
                    "histograms": many(histogram),
                },
                "required": ["metric"],
            },
        }),
    );
    add("scalar", sample(value));
    add("string", sample("Pair of Unix seconds and the text."));
    add("series_total", count("Series that the backend returned."));
    add("series_returned", count("Series in this answer."));
    add("truncated", json!({"type": "boolean", "description": "Whether anything was cut off."}));
    add("truncation", text("What was cut and how to ask for less."));
}

pub(crate) fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

pub(crate) fn texts(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

pub(crate) fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

fn property(argument: &Argument, backends: &[&Backend]) -> Value {
    let description: Cow<'_, str> = match argument.description {
        Description::Fixed(text) => text.into(),
        Description::Backends => describe_backends(backends).into(),
        Description::Orgs => describe_orgs(backends).into(),
    };
    match argument.kind {
        Kind::Text => json!({"type": "string", "description": description}),
        Kind::Count { least } => {
            json!({"type": "integer", "minimum": least, "description": description})
        }
        Kind::LenientCount => json!({"type": "integer", "description": description}),
    }
}

/// The names of the backends in alphabetical order; `None` when there is none.
fn names(backends: &[&Backend]) -> Option<String> {
    let names: Vec<_> = backends.iter().map(|b| b.name().as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn describe_backends(backends: &[&Backend]) -> String {
    let available = names(backends).unwrap_or_default();
    let mut text = format!("Backend to query. Available: [{available}].");
    match backends {
        [only] => push(&mut text, format_args!(" Defaults to '{}'.", only.name())),
        [] => {}
        _several => text.push_str(" Required, as there is more than one."),
    }
    text
}

fn describe_orgs(backends: &[&Backend]) -> String {
    let mut text = "Tenant to query on a multi-tenant backend (X-Scope-OrgID).".to_owned();
    if backends.iter().all(|backend| backend.orgs().next().is_none()) {
        text.push_str(" No backend has tenants: leave it out.");
        return text;
    }
    for backend in backends {
        push(&mut text, format_args!(" Backend '{}': ", backend.name()));
        describe_orgs_of(&mut text, backend);
    }
    text
}

fn describe_orgs_of(text: &mut String, backend: &Backend) {
    let orgs: Vec<_> = backend.orgs().map(OrgId::as_str).collect();
    if orgs.is_empty() {
        text.push_str("no tenants.");
        return;
    }
    match backend.org_id() {
        Some(org) => push(text, format_args!("default '{org}', ")),
        None => text.push_str("no default, "),
    }
    let shown = orgs.get(..ORGS_SHOWN_MAX).unwrap_or(&orgs);
    push(text, format_args!("available [{}]", shown.join(", ")));
    if shown.len() < orgs.len() {
        push(text, format_args!(" and {} more", orgs.len() - shown.len()));
    }
    text.push('.');
}

#[cfg(test)]
mod tests;
