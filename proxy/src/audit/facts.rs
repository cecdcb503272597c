//! A record read back: its facts by the names of either format.

use std::{borrow::Cow, collections::HashMap, fmt, sync::LazyLock};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::field::Field;

/// Most texts of a list that are read. The writer's lists are shorter.
const TEXTS_MAX: usize = 256;

/// Every field by its name in JSON and its name in ECS. No name is in both.
static NAMES: LazyLock<HashMap<&'static str, (Field, Form)>> = LazyLock::new(|| {
    let json = Field::ALL.iter().map(|field| (field.name(), (*field, Form::Json)));
    let ecs = Field::ALL.iter().map(|field| (field.ecs_name(), (*field, Form::Ecs)));
    json.chain(ecs).collect()
});

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Ecs,
}

/// The facts of a record. Names that are not ours are left out.
#[derive(Debug)]
pub struct Facts<'l> {
    facts: [Option<Fact<'l>>; Field::COUNT],
    form: Form,
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact<'l> {
    /// A text.
    Text(Cow<'l, str>),
    /// A whole number.
    Whole(u64),
    /// Another number.
    Decimal(f64),
    /// Several texts.
    Texts(Vec<Cow<'l, str>>),
    /// Something else.
    Other,
}

impl<'l> Facts<'l> {
    /// The facts of a line; none where it is no JSON object. The first of two of one name counts.
    #[must_use]
    pub fn of(line: &'l [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// A fact.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&Fact<'l>> {
        self.facts.get(field.index())?.as_ref()
    }

    /// A fact that is a text.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        match self.get(field)? {
            Fact::Text(text) => Some(text),
            Fact::Whole(_) | Fact::Decimal(_) | Fact::Texts(_) | Fact::Other => None,
        }
    }

    /// The texts of a fact: one or several.
    #[must_use]
    pub fn texts(&self, field: Field) -> &[Cow<'l, str>] {
        match self.get(field) {
            Some(Fact::Text(text)) => std::slice::from_ref(text),
            Some(Fact::Texts(texts)) => texts,
            Some(Fact::Whole(_) | Fact::Decimal(_) | Fact::Other) | None => &[],
        }
    }

    /// A fact that is a whole number.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<u64> {
        match self.get(field)? {
            Fact::Whole(number) => Some(*number),
            Fact::Text(_) | Fact::Decimal(_) | Fact::Texts(_) | Fact::Other => None,
        }
    }

    /// The duration of the request, in microseconds.
    #[must_use]
    pub fn duration_us(&self) -> Option<u64> {
        match (self.get(Field::DurationMs)?, self.form) {
            // ECS has nanoseconds.
            (Fact::Whole(nanoseconds), Form::Ecs) => Some(nanoseconds / 1000),
            (Fact::Whole(milliseconds), Form::Json) => milliseconds.checked_mul(1000),
            (Fact::Decimal(milliseconds), _) => microseconds(*milliseconds),
            (Fact::Text(_) | Fact::Texts(_) | Fact::Other, _) => None,
        }
    }

    /// What the record tells of, in one word: `request` where it does not say.
    #[must_use]
    pub fn event(&self) -> &str {
        self.text(Field::Event).unwrap_or("request")
    }
}

/// Milliseconds with a fraction, as whole microseconds.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn microseconds(milliseconds: f64) -> Option<u64> {
    // A year of them is far less than what a float holds exactly.
    let good = (0.0..1e12).contains(&milliseconds);
    good.then(|| (milliseconds * 1000.0).round() as u64)
}

impl<'de> Deserialize<'de> for Facts<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FactsVisitor)
    }
}

struct FactsVisitor;

impl<'de> Visitor<'de> for FactsVisitor {
    type Value = Facts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Facts<'de>, M::Error> {
        let mut facts = Facts { facts: [const { None }; Field::COUNT], form: Form::Json };
        while let Some(Name(name)) = map.next_key()? {
            let Some((field, form)) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            facts.form = form;
            let fact = map.next_value()?;
            if let Some(place) = facts.facts.get_mut(field.index()) {
                place.get_or_insert(fact);
            }
        }
        Ok(facts)
    }
}

/// A name in a record; none where it is not ours.
struct Name(Option<(Field, Form)>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(NAMES.get(name).copied()))
    }
}

impl<'de> Deserialize<'de> for Fact<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FactVisitor)
    }
}

struct FactVisitor;

impl<'de> Visitor<'de> for FactVisitor {
    type Value = Fact<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Fact<'de>, E> {
        Ok(Fact::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Fact<'de>, E> {
        Ok(Fact::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Fact<'de>, E> {
        Ok(Fact::Whole(number))
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<Fact<'de>, E> {
        Ok(Fact::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Fact<'de>, E> {
        Ok(Fact::Decimal(number))
    }

    fn visit_bool<E>(self, _truth: bool) -> Result<Fact<'de>, E> {
        Ok(Fact::Other)
    }

    fn visit_unit<E>(self) -> Result<Fact<'de>, E> {
        Ok(Fact::Other)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Fact<'de>, S::Error> {
        let mut texts = Vec::new();
        while let Some(item) = list.next_element::<Fact<'de>>()? {
            if let (Fact::Text(text), true) = (item, texts.len() < TEXTS_MAX) {
                texts.push(text);
            }
        }
        Ok(Fact::Texts(texts))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fact<'de>, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Fact::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_the_same_facts() {
        let json = br#"{"v":1,"time":"t","status":403,"duration_ms":12.034,"subject":"al\u00eb","groups":["a","b"],"new":{"x":[1]}}"#;
        let ecs = r#"{"@timestamp":"t","event.action":"request","promgate.schema":1,"http.response.status_code":403,"event.duration":12034000,"user.id":"alë","user.roles":["a","b"]}"#;
        for line in [&json[..], ecs.as_bytes()] {
            let facts = Facts::of(line).unwrap();
            assert_eq!(facts.text(Field::Time), Some("t"));
            assert_eq!(facts.number(Field::Status), Some(403));
            assert_eq!(facts.duration_us(), Some(12_034));
            assert_eq!(facts.text(Field::Subject), Some("alë"));
            assert_eq!(facts.texts(Field::Groups), ["a", "b"]);
            assert_eq!(facts.event(), "request");
            assert_eq!(facts.get(Field::Tool), None);
        }
    }

    #[test]
    fn no_name_means_two_things() {
        assert_eq!(NAMES.len(), Field::COUNT * 2);
    }

    #[test]
    fn values_of_other_kinds_are_no_facts_and_no_faults() {
        for (value, is_fact) in [
            ("null", true),
            ("true", true),
            ("-1", true),
            ("1e300", true),
            ("[[1],{},null,\"x\"]", true),
            ("{\"a\":{\"b\":[]}}", true),
            ("18446744073709551616", true),
            ("1e999", false),
            ("\"\\ud800\"", false),
            ("nul", false),
        ] {
            let line = format!(r#"{{"duration_ms":{value},"status":200}}"#);
            let facts = Facts::of(line.as_bytes());
            assert_eq!(facts.is_some(), is_fact, "{value}");
            if let Some(facts) = facts {
                assert_eq!(facts.duration_us(), None, "{value}");
                assert_eq!(facts.number(Field::Status), Some(200), "{value}");
            }
        }
        let deep = format!(r#"{{"tool":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(Facts::of(deep.as_bytes()).is_none());
        assert!(
            Facts::of(b"[]").is_none() && Facts::of(b"").is_none() && Facts::of(b"{} {}").is_none()
        );
    }

    #[test]
    fn the_first_of_two_facts_of_one_name_counts() {
        let facts = Facts::of(br#"{"tool":"a","tool":"b"}"#).unwrap();
        assert_eq!(facts.text(Field::Tool), Some("a"));
    }
}
