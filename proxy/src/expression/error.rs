//! Why an expression cannot be used, and how to mend it.

use std::fmt;

/// Why an expression cannot be a condition. It shows nothing of the expression, which could be anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// There is none.
    #[error("this condition has no expression")]
    Empty,
    /// Longer than is read.
    #[error("the expression is longer than 4096 bytes")]
    TooLong,
    /// Nested deeper than is evaluated.
    #[error("the expression is nested too deeply, or has too many operators in a row")]
    TooDeep,
    /// No thread could be started to read it.
    #[error("there is no thread to read the expression")]
    NoThread,
    /// Not CEL.
    #[error("not a CEL expression: {0} is not understood")]
    Unreadable(Spot),
    /// A variable that does not exist.
    #[error("{0} names a variable that there is not")]
    UnknownName(Spot),
    /// A function that does not exist.
    #[error("{0} calls a function that there is not")]
    UnknownFunction(Spot),
    /// Something else than true or false comes out.
    #[error("the expression gives something else than true or false")]
    NotTrueOrFalse,
    /// It fails on every sample of a token.
    #[error("the expression fails on every kind of token that it was tried on")]
    FailsOnSamples,
    /// A fact that no record has, or that no filter can ask for.
    #[error("{0} asks for a fact that records do not have")]
    UnknownFact(Spot),
    /// It fails on every sample of a record.
    #[error("the expression fails on every kind of record that it was tried on")]
    FailsOnRecords,
}

impl ExpressionError {
    /// How to mend it.
    #[must_use]
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::UnknownFact(_) => {
                "take one of those in docs/access-log.md that are no objects, by its JSON name"
            }
            Self::FailsOnRecords => {
                "compare values of one type, and check patterns of `matches`: a fact that is not known is `null`"
            }
            Self::Empty => "write one, or remove the item",
            Self::TooLong | Self::TooDeep => "split it into several conditions",
            Self::NoThread => "raise the limit on threads or memory",
            Self::Unreadable(_) => {
                "write one such as `payload.groups.exists(g, g == \"sre\")`, all in single quotes"
            }
            Self::UnknownName(_) => {
                "claims are members of `payload`, as in `payload.sub`; text stands in quotes"
            }
            Self::UnknownFunction(_) => {
                "use those of CEL, such as `exists`, `startsWith`, `matches`"
            }
            Self::NotTrueOrFalse => "compare it with something, as in `payload.sub == \"x\"`",
            Self::FailsOnSamples => {
                "compare values of one type, and check patterns of `matches`: times are numbers, `sub` is \
                 text, `groups` is a list"
            }
        }
    }

    /// How to mend it where it is a filter of records.
    #[must_use]
    pub const fn mend_filter(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "write one such as `record.status >= 400`, all in single quotes",
            Self::UnknownName(_) => {
                "facts are members of `record`, as in `record.status`; text stands in quotes"
            }
            Self::NotTrueOrFalse => "compare it with something, as in `record.tool == \"x\"`",
            Self::TooLong | Self::TooDeep => {
                "write a shorter one, or another sink with a part of it"
            }
            Self::Empty
            | Self::NoThread
            | Self::UnknownFunction(_)
            | Self::FailsOnSamples
            | Self::UnknownFact(_)
            | Self::FailsOnRecords => self.mend(),
        }
    }
}

/// A place in an expression, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "character {}", self.column)
    }
}
