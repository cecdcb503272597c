//! Environment variables in values.
//!
//! | written | becomes |
//! | --- | --- |
//! | `${NAME}`, `$NAME` | the variable; a fault when it is not set |
//! | `${NAME:-text}` | the variable, or `text` when it is not set or empty |
//! | `$$` | a dollar sign |
//! | `$` before anything else, or at the end | itself |
//!
//! This happens after the YAML was parsed and only in values, so that what a variable holds can
//! neither add a key nor end a string.

use std::borrow::Cow;

use serde_json::Value;

use super::{fault::Faults, place::At};

/// Longest value after expansion, in bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Where variables come from; tests pass a map.
pub trait Environment {
    /// The variable's value, if it is set.
    ///
    /// # Errors
    /// [`NotText`] when the value is not UTF-8.
    fn get(&self, name: &str) -> Result<Option<String>, NotText>;
}

/// A variable whose value is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the variable's value is not UTF-8")]
pub struct NotText;

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Result<Option<String>, NotText> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
        let value = std::env::var(name);
        match value {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(NotText),
        }
    }
}

/// Expands every text of the tree. A value that cannot be expanded becomes null, and a fault.
pub(super) fn expand(tree: &mut Value, at: &At, env: &dyn Environment, faults: &mut Faults) {
    match tree {
        Value::String(text) => match expand_text(text, env) {
            Ok(Cow::Borrowed(_)) => {}
            Ok(Cow::Owned(expanded)) => *text = expanded,
            Err(troubles) => {
                for trouble in troubles {
                    let (what, mend) = trouble.words();
                    faults.push(at, what, mend);
                }
                *tree = Value::Null;
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand(item, &at.item(index), env, faults);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                expand(value, &at.key(key), env, faults);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Unset(String),
    NotText(String),
    Unterminated,
    BadName,
    NestedDefault,
    TooLong,
}

impl Trouble {
    fn words(&self) -> (String, String) {
        let (what, mend) = match self {
            Self::Unset(name) => {
                let what = format!("the environment variable `{name}` is not set");
                let mend = format!(
                    "set it, give a default with `${{{name}:-…}}`, or write `$$` for a dollar sign"
                );
                return (what, mend);
            }
            Self::NotText(name) => {
                let what = format!("the environment variable `{name}` is not valid UTF-8");
                return (what, "set it to text".to_owned());
            }
            Self::Unterminated => ("`${` has no `}`", "close it, or write `$$` for a dollar sign"),
            Self::BadName => (
                "what stands in `${…}` is not a variable's name",
                "write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
            ),
            Self::NestedDefault => {
                ("a default may not hold a variable", "write the default as plain text")
            }
            Self::TooLong => ("the value is longer than 1 MiB when expanded", "shorten it"),
        };
        (what.to_owned(), mend.to_owned())
    }
}

fn expand_text<'a>(text: &'a str, env: &dyn Environment) -> Result<Cow<'a, str>, Vec<Trouble>> {
    if !text.contains('$') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut troubles = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (piece, remaining) = match after.chars().next() {
            Some('$') => (Ok("$".to_owned()), after.strip_prefix('$').unwrap_or_default()),
            Some('{') => braced(after.strip_prefix('{').unwrap_or_default(), env),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => bare(after, env),
            Some(_) | None => (Ok("$".to_owned()), after),
        };
        rest = remaining;
        match piece {
            Ok(piece) if out.len() + piece.len() + rest.len() > VALUE_BYTES_MAX => {
                troubles.push(Trouble::TooLong);
                return Err(troubles);
            }
            Ok(piece) => out.push_str(&piece),
            Err(trouble) => troubles.push(trouble),
        }
    }
    out.push_str(rest);
    if troubles.is_empty() { Ok(Cow::Owned(out)) } else { Err(troubles) }
}

/// Reads what follows `${`, up to and with `}`.
fn braced<'a>(after: &'a str, env: &dyn Environment) -> (Result<String, Trouble>, &'a str) {
    let Some((inside, rest)) = after.split_once('}') else {
        return (Err(Trouble::Unterminated), "");
    };
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let piece = if !is_name(name) {
        Err(Trouble::BadName)
    } else if default.is_some_and(|text| text.contains('$')) {
        Err(Trouble::NestedDefault)
    } else {
        variable(name, default, env)
    };
    (piece, rest)
}

/// Reads the name that follows `$`.
fn bare<'a>(after: &'a str, env: &dyn Environment) -> (Result<String, Trouble>, &'a str) {
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    let (name, rest) = after.split_at_checked(end).unwrap_or((after, ""));
    (variable(name, None, env), rest)
}

fn variable(name: &str, default: Option<&str>, env: &dyn Environment) -> Result<String, Trouble> {
    match (env.get(name), default) {
        (Err(NotText), _) => Err(Trouble::NotText(name.to_owned())),
        (Ok(Some(value)), None) => Ok(value),
        (Ok(Some(value)), Some(_)) if !value.is_empty() => Ok(value),
        (Ok(_), Some(default)) => Ok(default.to_owned()),
        (Ok(None), None) => Err(Trouble::Unset(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 256
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str);

    impl Environment for One {
        fn get(&self, name: &str) -> Result<Option<String>, NotText> {
            Ok((name == "SET").then(|| self.0.to_owned()))
        }
    }

    fn expanded(text: &str) -> Result<String, Vec<Trouble>> {
        expand_text(text, &One("v")).map(Cow::into_owned)
    }

    #[test]
    fn every_form_of_a_variable_is_replaced() {
        for (written, wanted) in [
            ("${SET}", "v"),
            ("$SET", "v"),
            ("a${SET}b$SET-c", "avbv-c"),
            ("${SET:-d}", "v"),
            ("${NONE:-d}", "d"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("$$SET", "$SET"),
            ("$$", "$"),
            ("$$$SET", "$v"),
            ("costs $5, $ and $", "costs $5, $ and $"),
            ("$(x) $é", "$(x) $é"),
        ] {
            assert_eq!(expanded(written).as_deref(), Ok(wanted), "{written}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset_only_where_a_default_stands() {
        let empty = One("");
        assert_eq!(expand_text("${SET}", &empty).as_deref(), Ok(""));
        assert_eq!(expand_text("${SET:-d}", &empty).as_deref(), Ok("d"));
    }

    #[test]
    fn every_trouble_of_a_text_is_found() {
        let unset = |name: &str| Trouble::Unset(name.to_owned());
        for (written, wanted) in [
            ("$A ${B}", vec![unset("A"), unset("B")]),
            ("${SET", vec![Trouble::Unterminated]),
            ("${}", vec![Trouble::BadName]),
            ("${SET-d}", vec![Trouble::BadName]),
            ("${1A}", vec![Trouble::BadName]),
            ("${NONE:-$SET}", vec![Trouble::NestedDefault]),
        ] {
            assert_eq!(expanded(written), Err(wanted), "{written}");
        }
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        assert_eq!(expand_text("$SET", &One("$SET ${X}")).as_deref(), Ok("$SET ${X}"));
    }

    #[test]
    fn a_value_does_not_grow_without_bound() {
        struct Big;
        impl Environment for Big {
            fn get(&self, _: &str) -> Result<Option<String>, NotText> {
                Ok(Some("x".repeat(100_000)))
            }
        }
        assert_eq!(expand_text(&"$A ".repeat(20), &Big), Err(vec![Trouble::TooLong]));
    }
}
