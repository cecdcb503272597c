use serde_json::json;

use super::*;
use crate::{
    backend::fake::Fake,
    tools::tests::{call, metrics, metrics_with, text_of},
};

async fn fake() -> Fake {
    Fake::holding(r#"["go_b","node_c","go_a","go_a","go_\u0064"]"#).await
}

#[tokio::test]
async fn names_are_sorted_unique_filtered_and_paged() {
    let fake = fake().await;
    let metrics = metrics(vec![fake.config("prom")]);
    let answer = call(&metrics, SPEC.name, json!({"query": "go_*", "limit": 2})).await;
    let structured = answer.structured_content.clone().unwrap();
    assert_eq!(
        structured,
        json!({"backend": "prom", "metrics": ["go_a", "go_b"], "total": 3, "returned": 2,
            "limit": 2, "offset": 0, "has_more": true, "next_offset": 2})
    );
    assert_eq!(
        text_of(&answer),
        "metric names 1 to 2 of 3 on backend `prom`\ngo_a\ngo_b\n… more with offset=2"
    );
    let answer = call(&metrics, SPEC.name, json!({"query": "go_*", "offset": 2.0})).await;
    let structured = answer.structured_content.unwrap();
    assert_eq!(structured["metrics"], json!(["go_d"]));
    assert_eq!((&structured["has_more"], structured.get("next_offset")), (&json!(false), None));
}

#[tokio::test]
async fn an_offset_beyond_the_end_and_an_empty_match_say_so() {
    let fake = fake().await;
    let metrics = metrics(vec![fake.config("prom")]);
    let answer = call(&metrics, SPEC.name, json!({"offset": 99})).await;
    assert_eq!(text_of(&answer), "no metric name at offset 99; 4 match in all");
    let answer = call(&metrics, SPEC.name, json!({"regex": "zzz"})).await;
    assert_eq!(text_of(&answer), "no metric name matches on backend `prom`");
}

#[tokio::test]
async fn a_page_has_no_more_names_than_the_server_allows_nor_more_bytes() {
    let names: Vec<_> = (0..100).map(|i| format!("metric_{i:03}")).collect();
    let fake = Fake::holding(&json!(names).to_string()).await;
    let limits = ToolLimits { page_max: 20, ..ToolLimits::default() };
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    let answer = call(&metrics, SPEC.name, json!({"limit": 5000})).await;
    let structured = answer.structured_content.unwrap();
    assert_eq!((&structured["limit"], &structured["returned"]), (&json!(20), &json!(20)));

    let limits = ToolLimits { answer_bytes_max: 500, ..ToolLimits::default() };
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    let answer = call(&metrics, SPEC.name, json!({})).await;
    let structured = answer.structured_content.unwrap();
    assert!(structured.to_string().len() <= 500, "{structured}");
    let returned = structured["returned"].as_u64().unwrap();
    assert!(returned > 0 && returned < 100);
    assert_eq!(structured["next_offset"], structured["returned"]);
}

#[tokio::test]
async fn the_window_is_the_last_hour_before_its_end() {
    let fake = fake().await;
    let metrics = metrics(vec![fake.config("prom")]);
    call(&metrics, SPEC.name, json!({"end": "1704067200"})).await;
    let request = &fake.seen()[0];
    assert!(request.contains("values?start=1704063600.000&end=1704067200.000 "), "{request}");
}
