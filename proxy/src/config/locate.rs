//! Finds the line on which a key or an item stands.
//!
//! The parser tells a position only with an error, so the text is parsed once more with a visitor
//! that walks to the wanted place and fails there. This is exact for every form of YAML: flow and
//! block style, comments, aliases. It runs only for faults.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::place::{At, Step};

/// The line, counted from 1, of the place or of the nearest one that holds it and is written in
/// the file. `occurrence` counts equal keys from 0.
pub(super) fn line(text: &str, at: &At, occurrence: usize) -> Option<usize> {
    let steps = at.steps();
    (1..=steps.len()).rev().find_map(|depth| {
        let nth = if depth == steps.len() { occurrence } else { 0 };
        let seek = Seek { steps: steps.get(..depth)?, nth };
        let stopped = seek.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        stopped.to_string().contains(HERE).then(|| stopped.location())?.map(|place| place.line())
    })
}

/// Text of the error that means "this is the place", which no parser error holds.
const HERE: &str = "promgate-located";

/// Walks the remaining steps, then fails.
#[derive(Clone, Copy)]
struct Seek<'a> {
    steps: &'a [Step],
    nth: usize,
}

impl Seek<'_> {
    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.steps.is_empty() { Err(E::custom(HERE)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (wanted, rest) = match self.steps.split_first() {
            None => return Err(A::Error::custom(HERE)),
            Some((Step::Item(index), rest)) => (Some(*index), rest),
            Some((Step::Key(_), rest)) => (None, rest),
        };
        let mut index = 0;
        loop {
            let more = if Some(index) == wanted {
                seq.next_element_seed(Seek { steps: rest, nth: self.nth })?.is_some()
            } else {
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (wanted, rest) = match self.steps.split_first() {
            None => return Err(A::Error::custom(HERE)),
            Some((Step::Key(key), rest)) => (Some(key.as_str()), rest),
            Some((Step::Item(_), rest)) => (None, rest),
        };
        let mut before = self.nth;
        loop {
            let stop = rest.is_empty() && before == 0;
            match map.next_key_seed(SeekKey { wanted, stop })? {
                None => return Ok(()),
                Some(true) if rest.is_empty() => {
                    before = before.saturating_sub(1);
                    map.next_value::<IgnoredAny>()?;
                }
                Some(true) => map.next_value_seed(Seek { steps: rest, nth: self.nth })?,
                Some(false) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<(), A::Error> {
        let (_, tagged) = data.variant::<IgnoredAny>()?;
        tagged.newtype_variant_seed(self)
    }
}

/// Tells whether a key is the wanted one; fails on it if the walk ends there.
struct SeekKey<'a> {
    wanted: Option<&'a str>,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SeekKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = self.wanted == Some(key);
        if found && self.stop { Err(E::custom(HERE)) } else { Ok(found) }
    }
}
