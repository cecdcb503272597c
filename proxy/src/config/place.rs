//! Places in the file.

use std::fmt;

/// Longest key shown in a fault, in bytes.
const KEY_BYTES_MAX: usize = 64;

/// One step from a node of the file to a node below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of this key.
    Key(String),
    /// To this item, counted from 0.
    Item(usize),
}

/// Where a value stands: the steps to it from the top of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct At(Vec<Step>);

impl At {
    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(super) fn item(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Item(index));
        Self(steps)
    }

    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether the other place is this one or lies below it.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl<const N: usize> From<[&str; N]> for At {
    fn from(keys: [&str; N]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    let dot = if depth == 0 { "" } else { "." };
                    write!(f, "{dot}{}", shown_key(key))?;
                }
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The key as a fault may show it.
///
/// `{password:hunter2}` is YAML for a *key* `password:hunter2`, so only what looks like a key or a
/// name is shown.
fn shown_key(key: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'<');
    if !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(plain) {
        key
    } else {
        "(key not shown)"
    }
}
