//! The JSON Schema of a record, and the table of the documentation.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Field, Kind, SCHEMA_VERSION};

/// What a chained line holds beside its record, and what lines of the log itself hold: name, JSON type, meaning.
const OF_THE_LOG: [(&str, &str, &str); 14] = [
    ("seq", "integer", "Number of the line in its chain; in every line of a chained log."),
    ("mac", "string", "Seal over the line and all before it; in every line of a chained log."),
    ("event", "string", "`records_dropped`, `requests_refused`, `chain_start` or `checkpoint`."),
    (
        "records",
        "integer",
        "`records_dropped`: how many were lost. `checkpoint`: records since the one before.",
    ),
    (
        "requests",
        "integer",
        "`requests_refused`: how many, as their records could not have been written.",
    ),
    ("chain", "string", "`chain_start`, `checkpoint`: name of the chain."),
    ("key", "string", "`chain_start`: name of the key that seals."),
    ("resumes", "integer", "`chain_start`: number of the line before; null where a chain begins."),
    ("previous", "string", "`chain_start`, `checkpoint`: seal of the line before."),
    ("torn_bytes", "integer", "`chain_start`: length of a torn line that stands before it."),
    ("torn_sha256", "string", "`chain_start`: SHA-256 of that line."),
    (
        "notice",
        "string",
        "`chain_start`: what was found amiss when the log was opened, in one word.",
    ),
    ("signature", "string", "`checkpoint`: Ed25519 over the chain up to here."),
    ("reason", "string", "`checkpoint`: `interval`, `rotation` or `shutdown`."),
];

/// The JSON Schema of a JSON record, draft 2020-12, as pretty JSON with a line end.
#[must_use]
pub fn record_schema_json() -> String {
    let mut properties: Map<String, Value> =
        Field::ALL.iter().map(|field| (field.name().to_owned(), property(*field))).collect();
    for (name, kind, meaning) in OF_THE_LOG {
        properties
            .entry(name)
            .or_insert_with(|| json!({ "type": [kind, "null"], "description": meaning }));
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Promgate access record",
        "description": "One line of the access log in its JSON form. What is not known is left out.",
        "type": "object",
        "required": ["v", "time"],
        "properties": properties,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

fn property(field: Field) -> Value {
    let meaning = field.meaning();
    // A rule may put a mask, a pseudonym or a length in the place of a text: that is a text too.
    let mut property = match field.kind() {
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::Milliseconds => json!({ "type": "number", "minimum": 0 }),
        Kind::Word | Kind::Text | Kind::Client | Kind::Address => json!({ "type": "string" }),
        Kind::List | Kind::ClientList => {
            json!({ "type": "array", "items": { "type": "string" } })
        }
        Kind::Object => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
    };
    if field == Field::Version {
        property = json!({ "const": SCHEMA_VERSION });
    }
    if let Some(map) = property.as_object_mut() {
        map.insert("description".to_owned(), meaning.into());
    }
    property
}

/// The fields as a table in Markdown, and what lines of the log itself hold.
#[must_use]
pub fn table_markdown() -> String {
    let mut table = String::from(
        "| JSON | kind | ECS | OpenTelemetry | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for field in Field::ALL {
        let (name, kind, meaning) = (field.name(), field.kind().name(), field.meaning());
        let (ecs, otel) = (field.ecs_name(), field.otel_name());
        // Writing into a `String` cannot fail.
        writeln!(table, "| `{name}` | {kind} | `{ecs}` | `{otel}` | {meaning} |")
            .unwrap_or_default();
    }
    table.push_str("\nLines of the log itself, and chained lines, hold also:\n\n");
    table.push_str("| JSON | type | meaning |\n| --- | --- | --- |\n");
    for (name, kind, meaning) in OF_THE_LOG {
        writeln!(table, "| `{name}` | {kind} | {meaning} |").unwrap_or_default();
    }
    table
}
