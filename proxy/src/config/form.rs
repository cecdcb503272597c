//! Holds the tree against the schema: unknown keys, wrong types, choices.
//!
//! The schema is that of `raw.rs`, so after this a tree always fits those types. What does not fit
//! is a fault and is taken out, so that the rest can still be checked. Where a number or a
//! `true`/`false` is wanted, text that reads as one is taken: `${WORKERS}` is text at first.

use serde_json::{Map, Value};

use super::{fault::Faults, hint, place::At};

/// Most similar key that is still suggested, by Jaro-Winkler similarity.
const SIMILAR_MIN: f64 = 0.8;

/// Makes the tree fit the schema.
pub(super) fn fit(tree: &mut Value, schema: &Value, faults: &mut Faults) {
    let form = Form { definitions: schema.get("$defs") };
    if tree.is_null() {
        *tree = Value::Object(Map::new());
    }
    if !form.fits(tree, schema, &At::default(), faults) {
        *tree = Value::Object(Map::new());
    }
}

struct Form<'s> {
    definitions: Option<&'s Value>,
}

impl<'s> Form<'s> {
    /// Follows `$ref` to the definition.
    fn resolved(&self, schema: &'s Value) -> &'s Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|name| name.strip_prefix("#/$defs/"))
            .and_then(|name| self.definitions?.get(name))
            .unwrap_or(schema)
    }

    /// Mends and cleans the value; false if it must be taken out.
    fn fits(&self, value: &mut Value, schema: &'s Value, at: &At, faults: &mut Faults) -> bool {
        let schema = self.resolved(schema);
        let wanted = Wanted::of(schema);
        match (&mut *value, wanted) {
            (Value::Object(map), Wanted::Section | Wanted::SectionOrWord) => {
                self.section(map, schema, at, faults);
                return true;
            }
            (Value::String(_), Wanted::SectionOrWord) => return word(value, schema, at, faults),
            (Value::String(_), Wanted::ListOrText) => {
                *value = Value::Array(vec![value.take()]);
                return true;
            }
            (Value::Array(items), Wanted::List | Wanted::ListOrText) => {
                self.list(items, schema, at, faults);
                return true;
            }
            (Value::String(text), Wanted::Number) => {
                if let Ok(number) = text.parse::<u64>() {
                    *value = Value::from(number);
                    return true;
                }
            }
            (Value::String(text), Wanted::Flag) => {
                if let Ok(flag) = text.parse::<bool>() {
                    *value = Value::from(flag);
                    return true;
                }
            }
            (Value::Number(number), Wanted::TextOrNumber | Wanted::NumberOrWord)
                if number.is_u64() =>
            {
                *value = Value::from(number.to_string());
                return true;
            }
            (Value::Number(number), Wanted::Number) if number.is_u64() => return true,
            // A fraction keeps its digits as they are written.
            (Value::Number(number), Wanted::Fraction) if !is_negative(number) => {
                *value = Value::from(number.to_string());
                return true;
            }
            (Value::String(_), Wanted::Fraction) => return true,
            (Value::Bool(_), Wanted::Flag) | (Value::String(_), Wanted::TextOrNumber) => {
                return true;
            }
            (Value::String(text), Wanted::NumberOrWord)
                if text.parse::<u64>().is_ok() || is_word(text, schema) =>
            {
                return true;
            }
            (Value::String(text), Wanted::Text) => return choice(text, schema, at, faults),
            _ => {}
        }
        let (what, mut mend) = wrong_type(value, wanted, schema);
        if let (Value::Array(_), Some(better)) = (value, hint::listed(at)) {
            better.clone_into(&mut mend);
        }
        faults.push(at, what, mend);
        false
    }

    fn section(
        &self,
        map: &mut Map<String, Value>,
        schema: &'s Value,
        at: &At,
        faults: &mut Faults,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let free = schema.get("additionalProperties").filter(|schema| schema.is_object());
        map.retain(|key, value| {
            let place = at.key(key);
            let Some(below) = known.and_then(|known| known.get(key)).or(free) else {
                let (what, mend) = unknown_key(&place, key, known);
                faults.push(&place, what, mend);
                return false;
            };
            if value.is_null() {
                // An entry of a free map is wanted even when it is empty: `prometheus:` names a
                // backend, which then lacks its address.
                if free.is_none() || Wanted::of(self.resolved(below)) != Wanted::Section {
                    return false;
                }
                *value = Value::Object(Map::new());
            }
            self.fits(value, below, &place, faults)
        });
    }

    /// Items that do not fit are replaced, not removed, so that the places of the others stay true.
    fn list(&self, items: &mut [Value], schema: &'s Value, at: &At, faults: &mut Faults) {
        let Some(below) = schema.get("items") else { return };
        let item_schema = self.resolved(below);
        let first_choice = item_schema.get("enum").and_then(|choices| choices.get(0));
        for (index, item) in items.iter_mut().enumerate() {
            let place = at.item(index);
            let good = if item.is_null() {
                faults.push_unless_known(
                    &place,
                    "this item is empty",
                    "give it a value or remove it",
                );
                false
            } else {
                self.fits(item, below, &place, faults)
            };
            if !good {
                *item = match first_choice {
                    Some(choice) => choice.clone(),
                    None if Wanted::of(item_schema) == Wanted::Section => Map::new().into(),
                    None => "".into(),
                };
            }
        }
    }
}

/// What kind of value a schema asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Section,
    /// A section, or one word that stands for one.
    SectionOrWord,
    List,
    /// A list of texts, or one text that stands for a list of it.
    ListOrText,
    Text,
    TextOrNumber,
    Number,
    /// A number, or one word that stands for something else.
    NumberOrWord,
    /// A number that may have decimals.
    Fraction,
    Flag,
}

impl Wanted {
    fn of(schema: &Value) -> Self {
        match schema.get("type") {
            Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "object") => {
                Self::SectionOrWord
            }
            Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "array") => {
                Self::ListOrText
            }
            Some(Value::Array(kinds)) if kinds.first().is_some_and(|kind| kind == "integer") => {
                Self::NumberOrWord
            }
            Some(Value::Array(kinds)) if kinds.first().is_some_and(|kind| kind == "number") => {
                Self::Fraction
            }
            Some(Value::Array(_)) => Self::TextOrNumber,
            Some(Value::String(name)) => match name.as_str() {
                "object" => Self::Section,
                "array" => Self::List,
                "integer" => Self::Number,
                "boolean" => Self::Flag,
                _ => Self::Text,
            },
            _ => Self::Text,
        }
    }
}

fn unknown_key(at: &At, key: &str, known: Option<&Map<String, Value>>) -> (String, String) {
    if let Some((what, mend)) = hint::moved(at) {
        return (what.to_owned(), mend.to_owned());
    }
    let mut names: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let list = names.join("`, `");
    let mend = match similar(key, &names) {
        Some(name) => format!("write `{name}`; the keys here are `{list}`"),
        None => format!("remove it; the keys here are `{list}`"),
    };
    ("unknown key".to_owned(), mend)
}

fn similar<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(word, name);
    names
        .iter()
        .copied()
        .filter(|name| likeness(name) >= SIMILAR_MIN)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn is_negative(number: &serde_json::Number) -> bool {
    number.as_f64().is_some_and(|number| number < 0.0)
}

/// Whether the text is one of the schema's choices, if it has any.
fn choice(text: &str, schema: &Value, at: &At, faults: &mut Faults) -> bool {
    let Some(choices) = schema.get("enum").and_then(Value::as_array) else { return true };
    let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
    if names.contains(&text) {
        return true;
    }
    if text.is_empty() {
        // As in prometheus-mcp, an empty choice counts as absent, unless that changes its meaning.
        if let Some((what, mend)) = hint::empty(at) {
            faults.push(at, what, mend);
        }
        return false;
    }
    let list = names.join("`, `");
    let mend = match similar(text, &names) {
        Some(name) => format!("write `{name}`; the choices are `{list}`"),
        None => format!("write one of `{list}`"),
    };
    faults.push(at, "unknown choice", mend);
    false
}

/// Puts the section that a word stands for in its place: `anyone` becomes `{anyone: true}`.
fn word(value: &mut Value, schema: &Value, at: &At, faults: &mut Faults) -> bool {
    let text = value.as_str().unwrap_or_default().to_owned();
    if is_word(&text, schema) {
        *value = Value::Object(Map::from_iter([(text, true.into())]));
        return true;
    }
    let (what, mend) = wrong_type(value, Wanted::SectionOrWord, schema);
    faults.push(at, what, mend);
    false
}

/// Whether the text is one of the words that the schema names.
fn is_word(text: &str, schema: &Value) -> bool {
    let known = schema.get("examples").and_then(Value::as_array).map(Vec::as_slice);
    known.unwrap_or_default().iter().any(|word| word.as_str() == Some(text))
}

fn wrong_type(value: &Value, wanted: Wanted, schema: &Value) -> (String, String) {
    let found = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::String(_) if wanted == Wanted::SectionOrWord => "another word",
        Value::String(text) if is_digits(text) => "one that large",
        Value::String(_) if wanted == Wanted::NumberOrWord => "another word",
        Value::Number(_) if wanted == Wanted::Fraction => "a negative one",
        Value::Number(_) if !matches!(wanted, Wanted::Number | Wanted::NumberOrWord) => "a number",
        Value::Number(number) if number.is_i64() => "a negative one",
        Value::Number(_) => "a fraction",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section",
    };
    let named = schema.get("title").and_then(Value::as_str);
    let noun = match wanted {
        Wanted::Section => "a section of keys",
        Wanted::List => "a list",
        Wanted::SectionOrWord | Wanted::ListOrText => named.unwrap_or("a section or a list"),
        Wanted::Text | Wanted::TextOrNumber | Wanted::Fraction => named.unwrap_or("text"),
        Wanted::Number => "a whole number",
        Wanted::NumberOrWord => named.unwrap_or("a whole number"),
        Wanted::Flag => "`true` or `false`",
    };
    let example = schema.get("examples").and_then(|list| list.get(0)).and_then(Value::as_str);
    let mend = match (wanted, example, value) {
        (Wanted::Text | Wanted::TextOrNumber, Some(example), _) => {
            format!("write a number with its unit, such as `{example}`")
        }
        (Wanted::Text, None, Value::Number(_) | Value::Bool(_)) => "put it in quotes".to_owned(),
        (Wanted::SectionOrWord, Some(word), _) => {
            format!("write `{word}`, or its keys on the next lines, indented")
        }
        (Wanted::Section | Wanted::SectionOrWord, _, _) => {
            "write its keys on the next lines, indented".to_owned()
        }
        (Wanted::List | Wanted::ListOrText, _, _) => {
            "write `[…]`, or each item on its own line after `- `".to_owned()
        }
        (Wanted::NumberOrWord, Some(word), _) => {
            format!("write digits only, as in `100`, or `{word}`")
        }
        (Wanted::Number | Wanted::NumberOrWord, _, _) => {
            "write digits only, as in `100`".to_owned()
        }
        (Wanted::Fraction, _, _) => "write a number such as `0.1`".to_owned(),
        (Wanted::Flag, _, _) => "write one of these words".to_owned(),
        (Wanted::Text | Wanted::TextOrNumber, None, _) => "write one line of text".to_owned(),
    };
    (format!("{noun} is wanted here, not {found}"), mend)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
