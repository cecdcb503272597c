use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_704_067_200_000;

fn range(given: Value) -> Result<Range, ArgumentError> {
    let Value::Object(given) = given else { panic!("not an object") };
    Range::read(&Arguments::accept(given, SPEC.arguments)?, Moment::from_ms(NOW), 250)
}

fn says(given: Value) -> String {
    ToolError::from(range(given).unwrap_err()).text()
}

#[test]
fn the_end_is_now_and_the_step_is_picked() {
    let range = range(json!({"start": "now-1h"})).unwrap();
    assert_eq!(range.end, Moment::from_ms(NOW));
    assert_eq!(range.start, Moment::from_ms(NOW - 3_600_000));
    assert_eq!(range.step.to_string(), "15s");
}

#[test]
fn a_given_step_is_taken_as_it_is() {
    let range = range(json!({"start": "-2d", "end": "-1d", "step": "1d"})).unwrap();
    assert_eq!(range.step, Span::parse("1d").unwrap());
}

#[test]
fn a_start_after_the_end_is_an_error_with_both() {
    let text = says(json!({"start": "now+1h"}));
    assert!(text.contains("2024-01-01T01:00:00Z) is after `end` (2024-01-01T00:00:00Z)"), "{text}");
    assert!(says(json!({})).contains("`start` is missing; it wants a time such as `now-1h`"));
}

#[test]
fn a_step_with_too_many_points_is_an_error_that_names_one_that_works() {
    assert!(range(json!({"start": "-11000", "step": "1"})).is_ok());
    let text = says(json!({"start": "-11001", "step": "1"}));
    assert!(text.contains("11002 points a series; the backend allows 11000"), "{text}");
    assert!(text.contains("use step `2s` or longer"), "{text}");
    assert!(range(json!({"start": "-11001", "step": "2s"})).is_ok());
}

#[test]
fn a_step_of_nothing_is_an_error() {
    assert!(says(json!({"start": "-1h", "step": "0s"})).contains("`step` is zero"));
    assert!(
        says(json!({"start": "-1h", "step": "fast"})).contains("`step` is no duration: `fast`")
    );
}
