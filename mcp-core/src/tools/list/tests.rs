use serde_json::json;

use super::*;
use crate::{
    backend::fake::Fake,
    tools::tests::{bytes_of, call, metrics, metrics_with, text_of},
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

    let names: Vec<_> = (0..100).map(|i| format!("metric_{i:03}_{}", "x".repeat(90))).collect();
    let fake = Fake::holding(&json!(names).to_string()).await;
    let limits = ToolLimits { answer_bytes_max: 4096, ..ToolLimits::default() };
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    let answer = call(&metrics, SPEC.name, json!({})).await;
    assert!(bytes_of(&answer) <= 4096, "{answer:?}");
    let structured = answer.structured_content.unwrap();
    let returned = structured["returned"].as_u64().unwrap();
    assert!(returned > 10 && returned < 100, "{returned}");
    assert_eq!(structured["next_offset"], structured["returned"]);
}

#[tokio::test]
async fn the_text_shows_fifty_names_and_counts_the_rest() {
    let names: Vec<_> = (0..120).map(|i| format!("metric_{i:03}")).collect();
    let fake = Fake::holding(&json!(names).to_string()).await;
    let metrics = metrics(vec![fake.config("prom")]);
    let answer = call(&metrics, SPEC.name, json!({})).await;
    let text = text_of(&answer);
    assert_eq!(text.lines().filter(|line| line.starts_with("metric_")).count(), 50);
    assert!(text.starts_with("metric names 1 to 100 of 120 on backend `prom`\nmetric_000\n"));
    assert!(
        text.ends_with("\n… and 50 more in the structured content\n… more with offset=100"),
        "{text}"
    );
    assert_eq!(answer.structured_content.unwrap()["returned"], json!(100));
}

/// However long names and notes are, whoever follows `next_offset` meets every name once.
#[tokio::test]
async fn paging_always_advances_and_ends() {
    let long = "l".repeat(5000);
    let names = json!(["a", format!("{long}1"), format!("{long}2"), "m", format!("z{long}")]);
    let note = "n".repeat(3000);
    let body = json!({"status": "success", "data": names, "warnings": vec![note; 12]}).to_string();
    let fake = Fake::answering("200 OK", "application/json", &body).await;
    let limits = ToolLimits { answer_bytes_max: 4096, ..ToolLimits::default() };
    let metrics = metrics_with(vec![fake.config("prom")], limits);
    for limit in [1, 2, 100] {
        let (mut offset, mut met, mut skipped) = (0, Vec::new(), 0);
        loop {
            let given = json!({"limit": limit, "offset": offset});
            let answer = call(&metrics, SPEC.name, given).await;
            assert!(bytes_of(&answer) <= 4096, "{answer:?}");
            let text = text_of(&answer);
            assert!(text.contains("warning: nnn") && !text.contains("no metric name"), "{text}");
            let page = answer.structured_content.unwrap();
            met.extend(page["metrics"].as_array().unwrap().clone());
            let over = page.get("skipped").map_or(0, |skipped| skipped.as_u64().unwrap());
            assert_eq!(text.contains(&format!("{over} of them too long")), over > 0, "{text}");
            skipped += over;
            let Some(next) = page.get("next_offset") else { break };
            assert!(next.as_u64().unwrap() > offset && page["has_more"] == true, "{page}");
            offset = next.as_u64().unwrap();
        }
        assert_eq!((met, skipped), (vec![json!("a"), json!("m")], 3), "limit {limit}");
    }
}

#[tokio::test]
async fn a_limit_below_one_and_a_negative_offset_stand_for_the_defaults() {
    let names: Vec<_> = (0..120).map(|i| format!("metric_{i:03}")).collect();
    let fake = Fake::holding(&json!(names).to_string()).await;
    let metrics = metrics(vec![fake.config("prom")]);
    for given in [json!({"limit": 0, "offset": -1}), json!({"limit": -5, "offset": -7.0})] {
        let answer = call(&metrics, SPEC.name, given).await;
        let page = answer.structured_content.unwrap();
        assert_eq!((&page["limit"], &page["offset"]), (&json!(100), &json!(0)), "{page}");
        assert_eq!(page["returned"], json!(100));
    }
}

#[tokio::test]
async fn the_window_is_the_last_hour_before_its_end() {
    let fake = fake().await;
    let metrics = metrics(vec![fake.config("prom")]);
    call(&metrics, SPEC.name, json!({"end": "1704067200"})).await;
    let request = &fake.seen()[0];
    assert!(request.contains("values?start=1704063600.000&end=1704067200.000 "), "{request}");
}
