//! The JSON Schema of the file.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::{Value, json};

/// The schema of a file after its variables were expanded, made from the types of [`super`].
pub(crate) fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<super::Config>();
    RecursiveTransform(plain).transform(&mut schema);
    schema.to_value()
}

/// The schema of a file as it is written, for editors: variables may stand for any value, and a
/// section may be empty.
pub(crate) fn written_schema() -> Value {
    let Ok(mut schema) = Schema::try_from(schema()) else { return Value::Null };
    RecursiveTransform(with_variables).transform(&mut schema);
    schema.to_value()
}

/// Text that holds a variable.
const VARIABLE: &str = r"\$";

fn with_variables(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(choices)) = map.remove("enum") {
        map.remove("type");
        let mut any: Vec<Value> =
            choices.into_iter().map(|name| json!({ "const": name })).collect();
        any.push(json!({ "type": "string", "pattern": VARIABLE }));
        map.insert("anyOf".to_owned(), any.into());
        return;
    }
    if let Some(Value::String(pattern)) = map.get_mut("pattern")
        && pattern != VARIABLE
    {
        *pattern = format!("{pattern}|{VARIABLE}");
    }
    match map.get("type").and_then(Value::as_str) {
        Some(kind @ ("integer" | "boolean")) => {
            let kinds = json!([kind, "string"]);
            map.insert("type".to_owned(), kinds);
            map.insert("pattern".to_owned(), VARIABLE.into());
        }
        Some("object") if !map.contains_key("$schema") => {
            map.insert("type".to_owned(), json!(["object", "null"]));
        }
        Some(_) | None => {}
    }
}

/// Removes what says nothing to an operator: null as a type (a key without a value counts as
/// absent), and defaults of whole sections, which their keys repeat.
fn plain(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else { return };
    if matches!(map.get("default"), Some(Value::Null | Value::Object(_))) {
        map.remove("default");
    }
    // `uint64` and the like are Rust's, and not known to editors.
    map.remove("format");
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [single] = types.as_slice() {
            let single = single.clone();
            map.insert("type".to_owned(), single);
        }
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::from("null")));
        if let [Value::Object(single)] = choices.as_slice() {
            let single = single.clone();
            map.remove("anyOf");
            map.extend(single);
        }
    }
}
