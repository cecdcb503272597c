//! PromQL as far as a record tells of it: what a query is made of, what it has in common with others, and how it reads
//! without its values.
//!
//! Modules, in order: `tokens` parts the text, `shape` gathers names, `lexical` tells what tokens alone can tell, `tree`
//! has the text parsed and tells the rest.

use aws_lc_rs::digest::{SHA256, digest};

mod tokens;

mod shape;

mod lexical;

mod tree;

pub use self::shape::Shape;
use self::tokens::Token;
use crate::hex;

/// How a query was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As PromQL.
    Parsed,
    /// Word by word: it is no PromQL, but maybe of another dialect, or nested too deep to be parsed.
    Lexical,
}

impl Form {
    /// The form in one word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Lexical => "lexical",
        }
    }
}

/// What queries have in common that differ in nothing but values, spaces, comments and the order of labels: the first 16
/// hexadecimal digits of the SHA-256 of their common form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// What is known of one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The same for queries that are alike.
    pub fingerprint: Fingerprint,
    /// How it was found.
    pub form: Form,
    /// What the query is made of; `None` when its text cannot even be parted into words.
    pub shape: Option<Shape>,
    /// The query without its values: what is quoted is `"***"`, and so is a long number. `None` for a query that cannot
    /// be parsed, since who does not understand a text cannot say where its values are.
    pub masked: Option<Box<str>>,
}

impl Fingerprint {
    /// Of a common form.
    fn of(common: &str) -> Self {
        let mut digits = [b'0'; 16];
        hex::write(digest(&SHA256, common.as_bytes()).as_ref(), &mut digits);
        Self(digits)
    }

    /// Its 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Reading {
    /// Reads a query; `masks` when it is to be shown without its values. It takes microseconds to milliseconds,
    /// which grow with the length of the query.
    #[must_use]
    pub fn of(query: &str, masks: bool) -> Self {
        let tokens = tokens::part(query);
        if let Some(told) = tree::told(&tokens) {
            let masked = masks.then(|| lexical::masked(&tokens).into());
            let fingerprint = Fingerprint::of(&told.common);
            return Self { fingerprint, form: Form::Parsed, shape: Some(told.shape), masked };
        }
        let fingerprint = Fingerprint::of(&lexical::common(&tokens));
        let is_plain = tokens.iter().all(Token::is_sound);
        let shape = is_plain.then(|| lexical::shape(&tokens));
        Self { fingerprint, form: Form::Lexical, shape, masked: None }
    }
}

#[cfg(test)]
mod tests;
