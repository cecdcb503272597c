//! What is read, and what is not.

use proptest::prelude::*;

use super::*;

#[test]
fn base64url_has_one_spelling_of_each_value() {
    assert_eq!(base64url("-_8").unwrap(), [0xfb, 0xff]);
    assert_eq!(base64url("").unwrap(), [0_u8; 0]);
    for wrong in ["-_8=", "+/8", "-_9", "-_ 8", "-_8\n", " -_8", "A", "-_8\u{e9}", "-_8.", "%2D8A"]
    {
        assert_eq!(base64url(wrong), None, "{wrong:?}");
    }
}

#[test]
fn values_of_every_kind_are_read() {
    let map =
        object(br#" {"a":[null,true,-1,1.5,18446744073709551615,"x"],"b":{"a":{}}} "#).unwrap();
    let expected = serde_json::json!({"a": [null, true, -1, 1.5, u64::MAX, "x"], "b": {"a": {}}});
    assert_eq!(Value::Object(map), expected);
}

#[test]
fn anything_but_one_object_is_refused() {
    for wrong in [
        "",
        " ",
        "null",
        "[]",
        "[{}]",
        "\"{}\"",
        "1",
        "{",
        "{}{}",
        "{} x",
        "{}\0",
        "{},",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":NaN}",
        "{\"a\":1e400}",
        "{\"a\":-1e400}",
        "{\"a\":Infinity}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\n\"}",
        "\u{feff}{}",
        "{\"a\":1/**/}",
        "{1:1}",
    ] {
        assert_eq!(object(wrong.as_bytes()), Err(Fault::NotOneObject), "{wrong:?}");
    }
    assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(Fault::NotOneObject), "not UTF-8");
}

#[test]
fn a_name_twice_is_refused_at_every_level_and_in_every_spelling() {
    for wrong in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"x":[{"a":null,"a":null}]}"#,
    ] {
        assert_eq!(object(wrong.as_bytes()), Err(Fault::DuplicateName), "{wrong}");
    }
    object(br#"{"a":{"a":1},"A":2}"#).unwrap();
}

#[test]
fn nesting_is_bounded() {
    let nested =
        |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    object(nested(DEPTH_MAX).as_bytes()).unwrap();
    assert_eq!(object(nested(DEPTH_MAX + 1).as_bytes()), Err(Fault::TooDeep));
    assert_eq!(object(nested(4000).as_bytes()), Err(Fault::TooDeep));
    let objects = "{\"a\":".repeat(17) + "1" + &"}".repeat(17);
    assert_eq!(object(objects.as_bytes()), Err(Fault::TooDeep));
}

/// JSON of any shape, less deep than the limit, each name once.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 4, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inside, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_read_is_what_a_lenient_reader_reads(value in json()) {
        let text = serde_json::json!({ "x": value }).to_string();
        let lenient: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), lenient);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let lenient = serde_json::from_slice::<Map<String, Value>>(&bytes);
        prop_assert!(object(&bytes).is_err() || lenient.is_ok());
    }

    #[test]
    fn what_decodes_is_what_its_bytes_encode_to(text in "[-_A-Za-z0-9=+/ ]{0,40}") {
        if let Some(bytes) = base64url(&text) {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text);
        }
    }
}
