//! The arguments of a call: what a tool takes, and reading it strictly.
//!
//! One table per tool is the source of both its input schema and the check for unknown arguments,
//! so that the two cannot disagree.

use rmcp::model::JsonObject;
use serde_json::Value;

use super::{
    error::{ArgumentError, echo},
    time::{Moment, Span},
};

/// How alike a wrong name must be to a right one to be taken for a slip: two edits.
const SLIP_EDITS_MAX: usize = 2;

/// An argument that a tool takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) description: Description,
}

/// What an argument is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A whole number of at least this.
    Count {
        least: u32,
    },
    /// A whole number, where one that is too small stands for the default.
    LenientCount,
}

/// What the schema says of an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Description {
    Fixed(&'static str),
    /// Names the backends.
    Backends,
    /// Names the tenants.
    Orgs,
}

impl Argument {
    pub(crate) const fn text(name: &'static str, description: &'static str) -> Self {
        let description = Description::Fixed(description);
        Self { name, kind: Kind::Text, required: false, description }
    }

    pub(crate) const fn count(name: &'static str, least: u32, description: &'static str) -> Self {
        let description = Description::Fixed(description);
        Self { name, kind: Kind::Count { least }, required: false, description }
    }

    pub(crate) const fn lenient_count(name: &'static str, description: &'static str) -> Self {
        let description = Description::Fixed(description);
        Self { name, kind: Kind::LenientCount, required: false, description }
    }

    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) const BACKEND: Self = Self {
        name: "backend",
        kind: Kind::Text,
        required: false,
        description: Description::Backends,
    };

    pub(crate) const ORG_ID: Self =
        Self { name: "org_id", kind: Kind::Text, required: false, description: Description::Orgs };
}

/// The arguments of one call, known to be among those that the tool takes.
#[derive(Debug)]
pub(crate) struct Arguments(JsonObject);

impl Arguments {
    /// Accepts the arguments of a call, unless there is one that the tool does not take.
    pub(crate) fn accept(given: JsonObject, table: &[Argument]) -> Result<Self, ArgumentError> {
        let unknown = given.keys().find(|name| !table.iter().any(|a| a.name == *name));
        match unknown {
            None => Ok(Self(given)),
            Some(name) => Err(ArgumentError::Unknown {
                name: echo(name),
                valid: table.iter().map(|a| a.name).collect::<Vec<_>>().join(", "),
                meant: nearest(name, table),
            }),
        }
    }

    /// An optional text. `null` and the empty text count as left out, as models write them so.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, ArgumentError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, other, "a string")),
        }
    }

    /// A text that must be there, of at most `bytes_max` bytes.
    pub(crate) fn required_text(
        &self,
        name: &'static str,
        bytes_max: usize,
    ) -> Result<&str, ArgumentError> {
        let text = self.bounded_text(name, bytes_max)?.map(str::trim).filter(|t| !t.is_empty());
        text.ok_or(ArgumentError::Missing { name, wants: "a string that is not empty" })
    }

    /// An optional text of at most `bytes_max` bytes.
    pub(crate) fn bounded_text(
        &self,
        name: &'static str,
        bytes_max: usize,
    ) -> Result<Option<&str>, ArgumentError> {
        match self.text(name)? {
            Some(text) if text.len() > bytes_max => {
                Err(ArgumentError::TooLong { name, bytes: text.len(), bytes_max })
            }
            text => Ok(text),
        }
    }

    /// An optional point in time.
    pub(crate) fn moment(
        &self,
        name: &'static str,
        now: Moment,
    ) -> Result<Option<Moment>, ArgumentError> {
        let Some(text) = self.text_or_number(name, "a time as a string")? else { return Ok(None) };
        Moment::parse(&text, now).map(Some).map_err(|source| ArgumentError::Moment {
            name,
            got: echo(&text),
            source,
        })
    }

    /// An optional span longer than zero.
    pub(crate) fn span(&self, name: &'static str) -> Result<Option<Span>, ArgumentError> {
        let wants = "a duration as a string";
        let Some(text) = self.text_or_number(name, wants)? else { return Ok(None) };
        match Span::parse(&text) {
            Ok(span) if span.is_zero() => Err(ArgumentError::Zero { name }),
            Ok(span) => Ok(Some(span)),
            Err(source) => Err(ArgumentError::Span { name, got: echo(&text), source }),
        }
    }

    /// An optional whole number of at least `least`. `10.0` is 10, as JSON knows no difference.
    pub(crate) fn count(
        &self,
        name: &'static str,
        least: u32,
    ) -> Result<Option<usize>, ArgumentError> {
        let wants = match least {
            0 => "a whole number of 0 or more",
            _more => "a whole number of 1 or more",
        };
        let Some(whole) = self.whole(name, wants)? else { return Ok(None) };
        let got = "out of range";
        match usize::try_from(whole) {
            Ok(count) if whole >= i128::from(least) => Ok(Some(count)),
            _outside => Err(ArgumentError::WrongType { name, got, wants }),
        }
    }

    /// An optional whole number; one below `least` counts as left out.
    pub(crate) fn lenient_count(
        &self,
        name: &'static str,
        least: u32,
    ) -> Result<Option<usize>, ArgumentError> {
        let whole = self.whole(name, "a whole number")?.filter(|n| *n >= i128::from(least));
        Ok(whole.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
    }

    fn whole(
        &self,
        name: &'static str,
        wants: &'static str,
    ) -> Result<Option<i128>, ArgumentError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(other) => return Err(wrong(name, other, wants)),
        };
        let whole = number.as_i128().or_else(|| {
            let float = number.as_f64().filter(|n| n.fract() == 0.0)?;
            format!("{float}").parse().ok()
        });
        let got = "not a whole number in range";
        whole.map(Some).ok_or(ArgumentError::WrongType { name, got, wants })
    }

    /// Times and durations may come as numbers: the schema asks for a string, but a model that has
    /// Unix seconds at hand means the same.
    fn text_or_number(
        &self,
        name: &'static str,
        wants: &'static str,
    ) -> Result<Option<std::borrow::Cow<'_, str>>, ArgumentError> {
        match self.0.get(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string().into())),
            Some(other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
                Err(wrong(name, other, wants))
            }
            Some(Value::Null | Value::String(_)) | None => Ok(self.text(name)?.map(Into::into)),
        }
    }
}

fn wrong(name: &'static str, got: &Value, wants: &'static str) -> ArgumentError {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    ArgumentError::WrongType { name, got, wants }
}

fn nearest(name: &str, table: &[Argument]) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let edits = |known: &str| strsim::osa_distance(&name, known);
    let best = table.iter().map(|a| a.name).min_by_key(|known| edits(known))?;
    (edits(best) <= SLIP_EDITS_MAX).then_some(best)
}

#[cfg(test)]
mod tests;
