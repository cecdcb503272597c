use serde_json::json;

use super::*;

const TABLE: &[Argument] = &[
    Argument::text("query", "").required(),
    Argument::text("time", ""),
    Argument::count("limit", 1, ""),
    Argument::count("offset", 0, ""),
    Argument::BACKEND,
    Argument::ORG_ID,
];

fn given(value: Value) -> Result<Arguments, ArgumentError> {
    let Value::Object(object) = value else { panic!("not an object") };
    Arguments::accept(object, TABLE)
}

fn says<T: std::fmt::Debug>(result: Result<T, ArgumentError>) -> String {
    crate::tools::error::ToolError::from(result.unwrap_err()).text()
}

#[test]
fn an_unknown_argument_names_the_valid_ones_and_the_one_meant() {
    assert_eq!(
        says(given(json!({"quary": "up"}))),
        "unknown argument `quary`; valid arguments: query, time, limit, offset, backend, org_id; \
         did you mean `query`?"
    );
    assert!(says(given(json!({"orgId": "a"}))).ends_with("did you mean `org_id`?"));
    assert!(says(given(json!({"nonsense": 1}))).ends_with("backend, org_id"));
}

#[test]
fn a_hostile_argument_name_is_repeated_short_and_without_control_characters() {
    let text = says(given(json!({format!("a\n\u{1b}[2J{}", "x".repeat(10_000)): 1})));
    assert!(text.len() < 300, "{text}");
    assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn null_and_empty_text_count_as_left_out() {
    let arguments = given(json!({"query": "", "time": null, "org_id": ""})).unwrap();
    assert_eq!(arguments.text("org_id").unwrap(), None);
    assert_eq!(arguments.moment("time", Moment::from_ms(0)).unwrap(), None);
    assert_eq!(
        says(arguments.required_text("query", 10)),
        "argument `query` is missing; it wants a string that is not empty"
    );
}

#[test]
fn a_wrong_type_names_the_argument_what_it_is_and_what_it_wants() {
    let arguments = given(json!({"query": 5, "time": true, "limit": "10"})).unwrap();
    assert_eq!(
        says(arguments.required_text("query", 10)),
        "argument `query` is a number; it wants a string"
    );
    assert_eq!(
        says(arguments.moment("time", Moment::from_ms(0))),
        "argument `time` is a boolean; it wants a time as a string"
    );
    assert_eq!(
        says(arguments.count("limit", 1)),
        "argument `limit` is a string; it wants a whole number of 1 or more"
    );
}

#[test]
fn a_count_is_whole_in_range_and_may_be_written_with_a_zero_fraction() {
    let count = |value: Value, least| given(json!({"limit": value})).unwrap().count("limit", least);
    assert_eq!(count(json!(10), 1).unwrap(), Some(10));
    assert_eq!(count(json!(10.0), 1).unwrap(), Some(10));
    assert_eq!(count(json!(0), 0).unwrap(), Some(0));
    for bad in [json!(0), json!(-1), json!(1.5), json!(1e300), json!(-0.5)] {
        assert!(says(count(bad.clone(), 1)).contains("whole number of 1 or more"), "{bad}");
    }
}

#[test]
fn a_lenient_count_below_its_least_counts_as_left_out() {
    let count = |value: Value| given(json!({"limit": value})).unwrap().lenient_count("limit", 1);
    for low in [json!(0), json!(-1), json!(-7.0), json!(i64::MIN), json!(null)] {
        assert_eq!(count(low.clone()).unwrap(), None, "{low}");
    }
    assert_eq!(count(json!(1)).unwrap(), Some(1));
    assert_eq!(count(json!(u64::MAX)).unwrap(), usize::try_from(u64::MAX).ok());
    for bad in [json!(1.5), json!(-0.5), json!("1")] {
        assert!(says(count(bad.clone())).ends_with("it wants a whole number"), "{bad}");
    }
}

#[test]
fn a_time_may_be_a_number() {
    let arguments = given(json!({"time": 1_704_067_200.5})).unwrap();
    let moment = arguments.moment("time", Moment::from_ms(0)).unwrap();
    assert_eq!(moment, Some(Moment::from_ms(1_704_067_200_500)));
}

#[test]
fn too_long_a_query_says_how_long_it_may_be() {
    let arguments = given(json!({"query": "x".repeat(11)})).unwrap();
    assert!(says(arguments.required_text("query", 10)).contains("at most 10"));
}
