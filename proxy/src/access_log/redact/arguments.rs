//! Which arguments of a tool a record shows, and how.
//!
//! They are taken from the message when it is read, in the form in which they are written, so that what no rule names
//! is not kept.

use std::{fmt, sync::Arc};

use serde_json::value::RawValue;

use super::{MASK, Rules, put_redacted};
use crate::{
    access_log::{detect, json, pseudonym::Meaning},
    config::{ArgumentForm, ToolArguments},
};

/// Longest text kept of an argument, in bytes.
const VALUE_BYTES_MAX: usize = 2048;

/// The rules, by tool and argument. Few tools have any, so they are searched in a row.
#[derive(Debug, Clone)]
pub(super) struct ArgumentRules(Box<[OfTool]>);

#[derive(Debug, Clone)]
struct OfTool {
    tool: Box<str>,
    arguments: Box<[(Arc<str>, ArgumentForm)]>,
}

/// The arguments of one call that rules name, as text and in the form in which they are written. `Debug` shows nothing
/// of them.
pub struct Arguments(Box<[Argument]>);

struct Argument {
    name: Arc<str>,
    text: Box<[u8]>,
}

impl ArgumentRules {
    pub(super) fn new(config: &[ToolArguments]) -> Self {
        let of_tool = |rules: &ToolArguments| OfTool {
            tool: rules.tool.as_str().into(),
            arguments: rules
                .arguments
                .iter()
                .map(|(name, form)| (name.as_str().into(), *form))
                .collect(),
        };
        Self(config.iter().map(of_tool).collect())
    }
}

impl Rules {
    /// Whether rules name arguments of the tool.
    #[must_use]
    pub fn name_arguments(&self, tool: &str) -> bool {
        self.of_tool(tool).is_some()
    }

    /// The arguments of a call that rules name. `each` shows them all; of one that is there twice, the last counts, as for
    /// the tool. None when no rule names any of those that are there.
    #[must_use]
    pub fn arguments<'r>(
        &self,
        tool: &str,
        each: impl FnOnce(&mut dyn FnMut(&str, &'r RawValue)),
    ) -> Option<Arguments> {
        let rules = self.of_tool(tool)?;
        let mut given: Vec<Option<&RawValue>> = vec![None; rules.arguments.len()];
        each(&mut |name, value| {
            let place = rules.arguments.iter().position(|(ruled, _)| **ruled == *name);
            if let Some(place) = place.and_then(|place| given.get_mut(place)) {
                *place = Some(value);
            }
        });
        let shown: Box<[_]> = rules
            .arguments
            .iter()
            .zip(given)
            .filter_map(|((name, form), value)| {
                Some(Argument { name: Arc::clone(name), text: self.argument(value?, *form) })
            })
            .collect();
        (!shown.is_empty()).then_some(Arguments(shown))
    }

    fn of_tool(&self, tool: &str) -> Option<&OfTool> {
        self.arguments.0.iter().find(|rules| *rules.tool == *tool)
    }

    fn argument(&self, value: &RawValue, form: ArgumentForm) -> Box<[u8]> {
        // A text without its quotes and escapes; anything else as JSON.
        let said = unquoted(value.get());
        let text = said.as_deref().unwrap_or(value.get());
        let mut shown = Vec::new();
        match form {
            ArgumentForm::Clear if said.is_some() => {
                self.put_client(&mut shown, text.as_bytes(), VALUE_BYTES_MAX, super::put_plain);
            }
            ArgumentForm::Clear => {
                // As a whole too: what stands beside a text may say what it is.
                let text = self.looked_through(text.as_bytes());
                self.put_client(&mut shown, &text, VALUE_BYTES_MAX, super::put_plain);
            }
            ArgumentForm::Redacted(redaction) => {
                put_redacted(&mut shown, redaction, text.as_bytes(), |text| {
                    let pseudonyms = self.pseudonyms.as_ref()?;
                    Some(pseudonyms.of(Meaning::Argument, "", text))
                });
            }
        }
        shown.into()
    }

    /// JSON without what the detectors find in its texts, behind whatever escapes, and without all that stands under a name that
    /// says that it is a secret; as much of it as may be shown.
    fn looked_through(&self, json: &[u8]) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), json);
        while out.len() <= VALUE_BYTES_MAX
            && let Some(begin) = rest.iter().position(|byte| *byte == b'"')
        {
            let (before, text) = rest.split_at(begin);
            let (text, after) = text.split_at(text_end(text));
            out.extend_from_slice(before);
            let said = std::str::from_utf8(text).ok().and_then(unquoted);
            let mut shown = Vec::new();
            match &said {
                Some(text) => {
                    let text = text.as_bytes();
                    self.put_client(&mut shown, text, VALUE_BYTES_MAX, super::put_plain);
                }
                // It holds half of a pair of surrogates.
                None => shown.extend_from_slice(MASK),
            }
            json::text(&mut out, &shown, usize::MAX);
            rest = after;
            let Some((between, value)) = value_of(after) else { continue };
            let mark = match &said {
                Some(name) => detect::told_by(name, self.detectors).map(str::as_bytes),
                // Whatever it says.
                None => Some(MASK),
            };
            if let Some(mark) = mark
                && !is_harmless(said.as_deref(), value)
            {
                out.extend_from_slice(between);
                json::text(&mut out, mark, usize::MAX);
                rest = value.get(value_end(value)..).unwrap_or_default();
            }
        }
        if out.len() <= VALUE_BYTES_MAX {
            out.extend_from_slice(rest.get(..VALUE_BYTES_MAX).unwrap_or(rest));
        } else {
            // What was not looked through is not shown, however short what was is written.
            out.extend_from_slice("…".as_bytes());
        }
        out
    }
}

/// What a text of JSON says; none of a value that is no text.
fn unquoted(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// Where a text of JSON ends that begins with these bytes, its quotes included.
fn text_end(json: &[u8]) -> usize {
    let mut place = 1;
    loop {
        match json.get(place) {
            None | Some(b'"') => return json.len().min(place + 1),
            Some(b'\\') => place += 2,
            Some(_) => place += 1,
        }
    }
}

/// What stands between a name and its value, and what begins with the value; none where the text before was no name.
fn value_of(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    let colon = json.iter().position(|byte| !blank(byte))?;
    let after = json.get(colon..)?.strip_prefix(b":")?;
    let blanks = after.iter().take_while(|byte| blank(byte)).count();
    json.split_at_checked(colon + 1 + blanks)
}

/// Whether a value is no secret whatever its name says: a switch, nothing, or a number of tokens.
fn is_harmless(name: Option<&str>, value: &[u8]) -> bool {
    let word = value.get(..value_end(value)).unwrap_or_default().trim_ascii();
    let counts = || {
        let tokens = |name: &str| name.to_ascii_lowercase().ends_with("tokens");
        name.is_some_and(tokens) && word.iter().all(u8::is_ascii_digit)
    };
    detect::says_nothing(word) || counts()
}

/// Where a value of JSON ends that begins with these bytes.
fn value_end(json: &[u8]) -> usize {
    let (mut depth, mut place) = (0_usize, 0);
    while let Some(byte) = json.get(place) {
        match byte {
            b'"' => place += text_end(json.get(place..).unwrap_or_default()),
            // They end what holds the value.
            b',' | b']' | b'}' if depth == 0 => return place,
            b'[' | b'{' => (depth, place) = (depth + 1, place + 1),
            b']' | b'}' => (depth, place) = (depth - 1, place + 1),
            _ => place += 1,
        }
    }
    json.len()
}

impl Arguments {
    /// Each name with its text, in the order of the rules.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|Argument { name, text }| (&**name, &**text))
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arguments(..)")
    }
}
