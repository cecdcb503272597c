use std::collections::HashSet;

use super::*;

#[test]
fn every_field_has_its_own_place_and_names() {
    for (place, field) in Field::ALL.iter().enumerate() {
        assert_eq!(field.index(), place);
        assert_eq!(Field::of_name(field.name()), Some(*field));
        assert!(field.meaning().ends_with('.'), "{field:?}");
    }
    let count = |name: fn(&Field) -> &'static str| {
        Field::ALL.iter().map(name).collect::<HashSet<_>>().len()
    };
    assert_eq!(count(|field| field.name()), Field::COUNT);
    assert_eq!(count(|field| field.ecs_name()), Field::COUNT);
    assert_eq!(count(|field| field.otel_name()), Field::COUNT);
    assert_eq!(Field::of_name("authorization"), None);
}

#[test]
fn names_need_no_escapes() {
    for field in Field::ALL {
        let plain = |name: &str| {
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@".contains(&b))
        };
        assert!(plain(field.name()) && plain(field.ecs_name()) && plain(field.otel_name()));
    }
}

#[test]
fn the_documentation_holds_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/access-log.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = table_markdown();
    assert!(text.contains(&table), "docs/access-log.md must hold this table:\n{table}");
}

#[test]
fn the_schema_describes_every_field() {
    let schema: serde_json::Value = serde_json::from_str(&record_schema_json()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for field in Field::ALL {
        assert_eq!(properties[field.name()]["description"], field.meaning());
    }
    assert!(properties.contains_key("seq") && properties.contains_key("mac"));
}
