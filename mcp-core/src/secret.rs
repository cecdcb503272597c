//! A value that may be used but never shown.

use std::fmt;

/// A password, token or key.
///
/// It implements neither `Display`, `Serialize` nor `PartialEq`, and its `Debug` prints no part of
/// the value, so that no log line, error or dump can show it. Every use is a call of
/// [`Secret::expose`], which makes them easy to find.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a value that must not be shown.
    #[must_use]
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// Returns the value itself, to be handed to the one party it was meant for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_part_of_the_value() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2"), Some(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains('7'), "not even the length: {shown}");
    }
}
