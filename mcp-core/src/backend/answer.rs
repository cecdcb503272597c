//! The Prometheus API's envelope, read without copying what it holds.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::error::ApiError;

/// Most items of one result that are kept for a closer look; further ones are only counted.
///
/// Far more than any answer holds, and a bound on what a garbage result of millions of numbers
/// costs: 16 bytes each.
const ITEMS_KEPT_MAX: usize = 100_000;

/// Most names of one answer. Beyond it the answer counts as unreadable: no store has as many
/// metric names, and each costs 24 bytes.
const NAMES_MAX: usize = 1_000_000;

/// Longest error text that is passed on, in bytes. PromQL errors repeat the query, which is
/// shorter.
const ERROR_BYTES_MAX: usize = 32 << 10;

/// Most warnings, and most infos, that are passed on.
const NOTES_MAX: usize = 10;

/// Longest warning or info that is passed on, in bytes. With [`NOTES_MAX`] it leaves most of an
/// answer to the data.
const NOTE_BYTES_MAX: usize = 1 << 10;

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer<D> {
    /// What was asked for.
    pub(crate) data: D,
    /// What the backend warns of; the answer may be wrong or incomplete.
    pub(crate) warnings: Vec<String>,
    /// What the backend remarks on the query.
    pub(crate) infos: Vec<String>,
}

/// Text that is borrowed from the body unless it holds escapes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text<'a>(Cow<'a, str>);

/// `data` of `/api/v1/query` and `/api/v1/query_range`.
#[derive(Debug, Deserialize)]
pub(crate) struct QueryData<'a> {
    /// `vector`, `matrix`, `scalar` or `string`.
    #[serde(rename = "resultType", borrow)]
    pub(crate) result_type: Text<'a>,
    /// Series, or timestamp and value of a scalar or string.
    #[serde(borrow)]
    pub(crate) result: Items<'a>,
}

/// The items of an array, unread.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    /// The first ones.
    pub(crate) kept: Vec<&'a RawValue>,
    /// How many there are.
    pub(crate) total: usize,
}

/// `data` of `/api/v1/label/…/values`.
#[derive(Debug)]
pub(crate) struct Names<'a>(pub(crate) Vec<Text<'a>>);

#[derive(Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
struct Envelope<'a, D> {
    #[serde(borrow)]
    status: Text<'a>,
    data: Option<D>,
    #[serde(default)]
    warnings: Option<Vec<Box<str>>>,
    #[serde(default)]
    infos: Option<Vec<Box<str>>>,
    /// VictoriaMetrics: some of its storage nodes did not answer.
    #[serde(default, rename = "isPartial")]
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
struct ErrorEnvelope<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(default, rename = "errorType", borrow)]
    kind: Option<Text<'a>>,
    #[serde(default, borrow)]
    error: Option<Text<'a>>,
}

/// Masks secrets in what a backend says. It comes before any cut, which could halve a secret and
/// so leave a piece that is no longer recognised.
pub(super) type Mask<'m> = &'m dyn Fn(&str) -> String;

/// Reads the body of a success; `None` when it is not one.
pub(super) fn success<'a, D: Deserialize<'a>>(body: &'a [u8], mask: Mask<'_>) -> Option<Answer<D>> {
    let envelope: Envelope<'a, D> = serde_json::from_slice(body).ok()?;
    if envelope.status.as_str() != "success" {
        return None;
    }
    let mut warnings = notes(envelope.warnings, mask);
    if envelope.is_partial == Some(true) {
        warnings.push("the backend marks this answer as partial".to_owned());
    }
    Some(Answer { data: envelope.data?, warnings, infos: notes(envelope.infos, mask) })
}

/// Reads the body of a failure; `None` when it is not the API's.
pub(super) fn failure(body: &[u8], mask: Mask<'_>) -> Option<ApiError> {
    let envelope: ErrorEnvelope<'_> = serde_json::from_slice(body).ok()?;
    if envelope.status.as_str() != "error" {
        return None;
    }
    let bounded = |text: Option<Text<'_>>| {
        text.map(|t| bounded(&mask(t.as_str()), ERROR_BYTES_MAX)).unwrap_or_default()
    };
    Some(ApiError { kind: bounded(envelope.kind), message: bounded(envelope.error) })
}

/// Reads a refusal that is not in the API's envelope: Cortex, Mimir, Thanos and the gateways
/// before them write bare text, or JSON of their own. `None` when it is a page or no text.
pub(super) fn refusal(body: &[u8], media_type: Option<&str>, mask: Mask<'_>) -> Option<ApiError> {
    if media_type.is_some_and(|it| it.contains("html") || it.contains("xml")) {
        return None;
    }
    let text = str::from_utf8(body).ok()?.trim();
    let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.is_empty() || text.starts_with('<') || text.contains(hidden) {
        return None;
    }
    // Written anew, JSON has the one form in which secrets are looked for.
    let json = serde_json::from_str::<Value>(text).ok();
    let json = json.map(|json| json.as_str().map_or_else(|| json.to_string(), str::to_owned));
    let message = bounded(&mask(json.as_deref().unwrap_or(text)), ERROR_BYTES_MAX);
    Some(ApiError { kind: String::new(), message })
}

fn notes(notes: Option<Vec<Box<str>>>, mask: Mask<'_>) -> Vec<String> {
    let notes = notes.unwrap_or_default();
    let more = notes.len().saturating_sub(NOTES_MAX);
    let shown = notes.iter().take(NOTES_MAX).map(|note| bounded(&mask(note), NOTE_BYTES_MAX));
    let mut shown: Vec<_> = shown.collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown
}

fn bounded(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}… (cut)", text.get(..end).unwrap_or_default())
}

impl Text<'_> {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Seen)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Items { kept: Vec::new(), total: 0 })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < ITEMS_KEPT_MAX {
                    let Some(item) = seq.next_element()? else { break };
                    kept.push(item);
                }
                let mut total = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    total += 1;
                }
                Ok(Items { kept, total })
            }
        }
        // `null` instead of an empty array comes from Go servers that never made the slice.
        deserializer.deserialize_any(Seen)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Names<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of names")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    if names.len() == NAMES_MAX {
                        return Err(A::Error::custom("too many names"));
                    }
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_seq(Seen)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<'a, D: Deserialize<'a>>(body: &'a [u8]) -> Option<Answer<D>> {
        success(body, &str::to_owned)
    }

    fn refused(body: &str, media_type: Option<&str>) -> Option<String> {
        refusal(body.as_bytes(), media_type, &str::to_owned).map(|error| error.message)
    }

    #[test]
    fn a_refusal_in_text_or_foreign_json_is_read_and_a_page_is_not() {
        let plain = Some("text/plain");
        assert_eq!(refused("  no org id\n", plain).unwrap(), "no org id");
        assert_eq!(refused("no org id", None).unwrap(), "no org id");
        assert_eq!(refused("\"blocked\"", Some("application/json")).unwrap(), "blocked");
        assert_eq!(
            refused("{\"message\": \"a\\/b\"}", Some("application/json")).unwrap(),
            r#"{"message":"a/b"}"#
        );
        for (body, media_type) in [
            ("", plain),
            ("<html>", plain),
            ("\n <!DOCTYPE html>", None),
            ("a page", Some("text/html")),
            ("a page", Some("application/xhtml+xml")),
            ("\u{0}\u{1}", plain),
        ] {
            assert_eq!(refused(body, media_type), None, "{body:?}");
        }
        assert_eq!(refusal(b"\xff\xfe", plain, &str::to_owned), None);
    }

    #[test]
    fn secrets_are_masked_before_the_cut() {
        let mask = |text: &str| text.replace("canary", "***");
        let halved = |bytes_max: usize| format!("{}canary", "x".repeat(bytes_max - 3));
        let error = refusal(halved(ERROR_BYTES_MAX).as_bytes(), None, &mask).unwrap();
        assert!(!error.message.contains("can"), "the cut left a piece");
        let error = json!({"status": "error", "error": halved(ERROR_BYTES_MAX)}).to_string();
        assert!(!failure(error.as_bytes(), &mask).unwrap().message.contains("can"));
        let body = json!({"status": "success", "data": [], "infos": [halved(NOTE_BYTES_MAX)]});
        let body = body.to_string();
        let answer: Answer<Names<'_>> = success(body.as_bytes(), &mask).unwrap();
        assert!(!answer.infos[0].contains("can"), "{}", answer.infos[0]);
    }

    #[test]
    fn items_are_borrowed_and_counted() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"a":1},[2]]}}"#;
        let answer: Answer<QueryData<'_>> = read(body).unwrap();
        assert_eq!(answer.data.result_type.as_str(), "vector");
        assert_eq!(answer.data.result.total, 2);
        assert_eq!(answer.data.result.kept[0].get(), r#"{"a":1}"#);
    }

    #[test]
    fn items_over_the_bound_are_counted_but_not_kept() {
        let many = vec!["1"; ITEMS_KEPT_MAX + 7].join(",");
        let items = format!("[{many}]");
        let items: Items<'_> = serde_json::from_str(&items).unwrap();
        assert_eq!((items.kept.len(), items.total), (ITEMS_KEPT_MAX, ITEMS_KEPT_MAX + 7));
    }

    #[test]
    fn a_result_of_null_is_an_empty_one() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":null}}"#;
        assert_eq!(read::<QueryData<'_>>(body).unwrap().data.result.total, 0);
    }

    #[test]
    fn success_without_data_is_not_an_answer() {
        assert!(read::<QueryData<'_>>(br#"{"status":"success"}"#).is_none());
        assert!(read::<Names<'_>>(br#"{"status":"success","data":null}"#).is_none());
    }

    #[test]
    fn warnings_infos_and_a_partial_answer_are_told() {
        let body = br#"{"status":"success","isPartial":true,"data":["a","b\u0063"],
            "warnings":["w"],"infos":["i"]}"#;
        let answer: Answer<Names<'_>> = read(body).unwrap();
        assert_eq!(answer.warnings, ["w", "the backend marks this answer as partial"]);
        assert_eq!(answer.infos, ["i"]);
        assert_eq!(answer.data.0.iter().map(Text::as_str).collect::<Vec<_>>(), ["a", "bc"]);
    }

    #[test]
    fn many_and_long_notes_are_cut_and_say_so() {
        let notes = vec!["é".repeat(10_000); 15];
        let body = serde_json::json!({"status": "success", "data": [], "warnings": notes});
        let body = body.to_string();
        let answer: Answer<Names<'_>> = read(body.as_bytes()).unwrap();
        assert_eq!(answer.warnings.len(), NOTES_MAX + 1);
        assert!(answer.warnings[0].len() < NOTE_BYTES_MAX + 20);
        assert!(answer.warnings[0].ends_with("é… (cut)"));
        assert_eq!(answer.warnings[NOTES_MAX], "and 5 more");
    }

    #[test]
    fn an_error_is_read_whole_even_when_its_data_is_odd() {
        let body =
            br#"{"status":"error","data":"x","errorType":"bad_data","error":"1:2: oh \"no\""}"#;
        let error = failure(body, &str::to_owned).unwrap();
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("bad_data", "1:2: oh \"no\""));
    }

    #[test]
    fn deep_nesting_neither_recurses_nor_panics() {
        let deep = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{}{}]}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(read::<QueryData<'_>>(deep.as_bytes()).unwrap().data.result.total, 1);
    }
}
