//! The JSON Schema of the file.

use schemars::{
    Schema,
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

/// The schema, draft 2020-12, made from the types of [`super`].
pub(crate) fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<super::Config>();
    RecursiveTransform(plain).transform(&mut schema);
    schema.to_value()
}

/// Removes what says nothing to an operator: null as a type (a key without a value counts as
/// absent), and defaults of whole sections, which their keys repeat.
fn plain(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else { return };
    if matches!(map.get("default"), Some(Value::Null | Value::Object(_))) {
        map.remove("default");
    }
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
