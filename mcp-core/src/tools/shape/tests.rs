use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn shaped(series: &[String], bounds: Bounds) -> Result<Shaped, Malformed> {
    let raw: Vec<Box<RawValue>> =
        series.iter().map(|s| RawValue::from_string(s.clone()).unwrap()).collect();
    let kept: Vec<&RawValue> = raw.iter().map(AsRef::as_ref).collect();
    shape(&Items { total: kept.len(), kept }, bounds, |_, _| 0)
}

fn bounds(bytes_max: usize, series_max: Option<usize>) -> Bounds {
    Bounds { bytes_max, bytes_spent: 0, series_max }
}

fn series(n: usize) -> Vec<String> {
    (0..n).map(|i| format!(r#"{{"metric":{{"i":"{i:04}"}},"value":[1,"2"]}}"#)).collect()
}

#[test]
fn what_fits_is_whole() {
    let shaped = shaped(&series(3), bounds(1000, None)).unwrap();
    assert_eq!((shaped.series.len(), shaped.total, shaped.cut), (3, 3, None));
    assert_eq!(shaped.cut_text(), None);
}

#[test]
fn an_answer_is_cut_at_a_whole_series_and_says_so() {
    // 39 bytes each, and a comma.
    let shaped = shaped(&series(10), bounds(100, None)).unwrap();
    assert_eq!((shaped.series.len(), shaped.total), (2, 10));
    assert_eq!(shaped.cut, Some(Cut::Bytes(100)));
    let text = shaped.cut_text().unwrap();
    assert!(text.starts_with("cut: 2 of 10 series") && text.contains("topk(10"), "{text}");
}

#[test]
fn what_the_text_takes_is_room_that_the_series_have_not() {
    let one = RawValue::from_string(series(1).remove(0)).unwrap();
    let items = Items { total: 10, kept: vec![&*one; 10] };
    let mut left = Vec::new();
    let shaped = shape(&items, bounds(200, None), |_, room| {
        left.push(room);
        50
    });
    // 40 bytes with the comma, and 50 for the text.
    assert_eq!((shaped.unwrap().series.len(), left), (2, vec![160, 70]));
}

#[test]
fn a_limit_is_told_apart_from_the_size() {
    let limited = |n| shaped(&series(n), bounds(1000, Some(4))).unwrap();
    assert_eq!((limited(10).series.len(), limited(10).cut), (4, Some(Cut::Limit(4))));
    assert_eq!((limited(4).series.len(), limited(4).cut), (4, None));
}

#[test]
fn one_series_over_the_size_leaves_none() {
    let huge = format!(r#"{{"metric":{{"a":"{}"}},"value":[1,"2"]}}"#, "x".repeat(5000));
    let shaped = shaped(&[huge], bounds(1000, None)).unwrap();
    assert_eq!((shaped.series.len(), shaped.total, shaped.cut), (0, 1, Some(Cut::Bytes(1000))));
}

#[test]
fn series_that_were_only_counted_are_a_cut_too() {
    let items = Items { kept: Vec::new(), total: 5 };
    assert_eq!(shape(&items, bounds(1000, None), |_, _| 0).unwrap().cut, Some(Cut::Bytes(1000)));
}

#[test]
fn values_pass_through_exact() {
    let exact = [
        r#"{"metric":{},"value":[1704067200.123,"9007199254740993"]}"#,
        r#"{"metric":{},"value":[1704067200,"NaN"]}"#,
        r#"{"metric":{},"values":[[1,"+Inf"],[2,"-Inf"]]}"#,
        r#"{"histogram":[1,{"buckets":[[0,"1","2","3"]],"count":"3","sum":"6.5"}],"metric":{}}"#,
    ];
    let series: Vec<_> = exact.iter().map(|s| (*s).to_owned()).collect();
    let shaped = shaped(&series, bounds(10_000, None)).unwrap();
    for (written, value) in exact.iter().zip(&shaped.series) {
        assert_eq!(*written, serde_json::to_string(value).unwrap());
    }
}

#[test]
fn what_is_no_series_is_malformed() {
    for bad in [
        "1",
        "[]",
        "{}",
        r#"{"metric":null}"#,
        r#"{"metric":{"a":1}}"#,
        r#"{"metric":{},"value":"1"}"#,
        r#"{"metric":{},"value":[1]}"#,
        r#"{"metric":{},"value":["1","1"]}"#,
        r#"{"metric":{},"values":[[1,"1"],3]}"#,
        r#"{"metric":{},"histograms":{}}"#,
    ] {
        assert!(shaped(&[bad.to_owned()], bounds(1000, None)).is_err(), "{bad}");
    }
    let deep = format!(r#"{{"metric":{{}},"value":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert!(shaped(&[deep], bounds(100_000, None)).is_err());
}

proptest! {
    #[test]
    fn an_answer_never_exceeds_its_size(
        labels in prop::collection::vec("\\PC{0,30}", 0..20),
        stamps in prop::collection::vec(0.0..1e10_f64, 20),
        bytes_max in 0..1500_usize,
    ) {
        let series: Vec<_> = labels.iter().zip(&stamps).map(|(label, at)| {
            format!(r#"{{ "metric" : {{"a": {}}}, "value": [{at:e}, "1"] }}"#,
                serde_json::to_string(label).unwrap())
        }).collect();
        let shaped = shaped(&series, bounds(bytes_max, None)).unwrap();
        let bytes = json_bytes(&Value::Array(shaped.series.clone()));
        prop_assert!(bytes <= bytes_max + 2, "{} over {}", bytes, bytes_max);
        prop_assert_eq!(shaped.cut.is_some(), shaped.series.len() < series.len());
    }
}
