//! From the text of the file to a tree: YAML, anchors, merge keys, bounds.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_json::{Map, Value};

use super::{
    fault::Faults,
    place::{At, Step},
};

/// Most nodes of the tree, aliases counted each time they are used.
///
/// A configuration with 64 backends has about 2,000; a bomb of nested aliases has billions.
const NODES_MAX: usize = 50_000;

/// Most bytes of keys and scalars, aliases counted each time they are used: four times the largest
/// file.
const SCALAR_BYTES_MAX: usize = 4 << 20;

/// YAML that cannot be read at all.
pub(super) struct Unreadable {
    pub(super) line: Option<usize>,
    pub(super) what: String,
    pub(super) mend: &'static str,
}

/// Reads the text into a tree with merge keys applied. Keys that stand twice are faults.
pub(super) fn read(text: &str, faults: &mut Faults) -> Result<Value, Unreadable> {
    let state = RefCell::new(State { faults, at: At::default(), nodes: 0, bytes: 0 });
    let parsed = Build { state: &state }.deserialize(serde_yaml::Deserializer::from_str(text));
    let bomb = state.borrow().is_over();
    match parsed {
        Ok(mut tree) => {
            merge(&mut tree, &At::default(), faults);
            Ok(tree)
        }
        Err(_) if bomb => Err(Unreadable {
            line: None,
            what: format!("its aliases unfold to more than {NODES_MAX} values or 4 MiB"),
            mend: "use fewer aliases",
        }),
        Err(error) => Err(unreadable(&error)),
    }
}

/// Puts a parser's error into words that hold no value of the file.
fn unreadable(error: &serde_yaml::Error) -> Unreadable {
    let line = error.location().map(|place| place.line());
    let text = error.to_string();
    if text.contains("more than one document") {
        return Unreadable {
            line,
            what: "it holds more than one YAML document".to_owned(),
            mend: "remove what follows the second `---`",
        };
    }
    if text.contains("unknown anchor") {
        return Unreadable {
            line,
            what: "an alias (`*name`) stands here, but no anchor (`&name`) before it".to_owned(),
            mend: "define it with `&name` before its first use, or write the value",
        };
    }
    if text.contains("invalid ") {
        // Such errors quote the value.
        return Unreadable {
            line,
            what: "a value does not fit its tag, or a key is not text".to_owned(),
            mend: "remove the `!` tag or write the key as plain text",
        };
    }
    Unreadable {
        line,
        what: format!("not valid YAML: {text}"),
        mend: "check the indentation, quotes and brackets there and on the line before",
    }
}

struct State<'a> {
    faults: &'a mut Faults,
    at: At,
    nodes: usize,
    bytes: usize,
}

impl State<'_> {
    fn is_over(&self) -> bool {
        self.nodes > NODES_MAX || self.bytes > SCALAR_BYTES_MAX
    }

    fn spend<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.nodes = self.nodes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_over() { Err(E::custom("over the bounds")) } else { Ok(()) }
    }
}

/// Builds the tree while it keeps count and place.
#[derive(Clone, Copy)]
struct Build<'a, 'f> {
    state: &'a RefCell<State<'f>>,
}

impl Build<'_, '_> {
    fn scalar<E: Error>(self, value: Value) -> Result<Value, E> {
        self.state.borrow_mut().spend(0)?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(Value::from(value))
    }

    // What JSON numbers cannot hold stays text, which no number key accepts.
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.scalar(Value::from(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(Value::from(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.scalar(Value::from(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let value = if value.is_finite() { value.into() } else { value.to_string().into() };
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.state.borrow_mut().spend(value.len())?;
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    /// What the parser calls for a file without any value.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.state.borrow_mut().spend(0)?;
        let mut items = Vec::new();
        loop {
            self.state.borrow_mut().at.push(Step::Item(items.len()));
            let item = seq.next_element_seed(self);
            self.state.borrow_mut().at.pop();
            match item? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.state.borrow_mut().spend(0)?;
        let mut entries = Map::new();
        let mut seen = BTreeMap::<String, usize>::new();
        while let Some(key) = map.next_key::<String>()? {
            {
                let mut state = self.state.borrow_mut();
                state.spend(key.len())?;
                state.at.push(Step::Key(key.clone()));
            }
            let value = map.next_value_seed(self);
            let occurrence = seen.entry(key.clone()).or_default();
            if *occurrence > 0 {
                let State { faults, at, .. } = &mut *self.state.borrow_mut();
                let what = "this key stands here twice".to_owned();
                faults.push_occurrence(at, *occurrence, what, "remove one of them".to_owned());
            }
            *occurrence += 1;
            self.state.borrow_mut().at.pop();
            entries.entry(key).or_insert(value?);
        }
        Ok(Value::Object(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        {
            let State { faults, at, .. } = &mut *self.state.borrow_mut();
            faults.push(at, "this value has a YAML tag", "remove the word with `!` before it");
        }
        let (_, tagged) = data.variant::<IgnoredAny>()?;
        tagged.newtype_variant_seed(self)
    }
}

/// Replaces each `<<` by the entries of the mappings that it names; keys of one's own win, then
/// earlier mappings over later ones. Spec: YAML merge key type, 2005.
fn merge(tree: &mut Value, at: &At, faults: &mut Faults) {
    match tree {
        Value::Object(map) => {
            if let Some(named) = map.remove("<<") {
                let place = at.key("<<");
                let sources = match named {
                    Value::Array(sources) => sources,
                    source @ (Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Object(_)) => vec![source],
                };
                for mut source in sources {
                    merge(&mut source, &place, faults);
                    merge_from(map, source, &place, faults);
                }
            }
            for (key, value) in map {
                merge(value, &at.key(key), faults);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                merge(item, &at.item(index), faults);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn merge_from(map: &mut Map<String, Value>, source: Value, at: &At, faults: &mut Faults) {
    let Value::Object(source) = source else {
        faults.push(
            at,
            "a merge key takes a mapping or a list of mappings",
            "name an anchor of a mapping, as in `<<: *base`",
        );
        return;
    };
    for (key, value) in source {
        map.entry(key).or_insert(value);
    }
}
