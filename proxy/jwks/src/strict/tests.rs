//! What is read, and what is not.

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
