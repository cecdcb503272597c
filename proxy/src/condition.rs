//! Conditions that operators write in CEL over a token's claims.
//!
//! They were read with the configuration; here they are evaluated, once for each token and not for each request.

use std::sync::Arc;

use cel::{ExecutionError, Value};

pub use crate::expression::Payload;
use crate::expression::{Evaluated, Expression};

/// An expression that is true or false of a token's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(Expression);

/// Why a condition is neither true nor false of some claims. It shows no claim's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFailed {
    /// A claim is missing. `has(payload.x)` asks for one that may be.
    #[error("the token has no claim {}", claim.as_deref().unwrap_or("that the condition asks for"))]
    NoSuchClaim {
        /// Its name, if the expression itself says it.
        claim: Option<Box<str>>,
    },
    /// An operator or function got a value of a type that it does not take.
    #[error("`{function}` is not defined for the types of these claims")]
    WrongType {
        /// The operator or function.
        function: Box<str>,
    },
    /// The expression came to something else than true or false.
    #[error("the condition is neither true nor false, but a value of type {found}")]
    NotBoolean {
        /// The type.
        found: &'static str,
    },
    /// Anything else: an index out of bounds, an overflow, a bad pattern.
    #[error("the condition cannot be evaluated for these claims")]
    Evaluation,
    /// The library failed.
    #[error("the CEL library failed")]
    Panicked,
}

impl Condition {
    /// The condition of an expression that was read.
    #[must_use]
    pub fn of(expression: &Expression) -> Self {
        Self(expression.clone())
    }

    /// Whether it is true of these claims.
    ///
    /// # Errors
    /// [`ConditionFailed`] when it is neither true nor false. The caller denies then, and logs it.
    pub fn holds(&self, payload: &Payload) -> Result<bool, ConditionFailed> {
        match self.0.evaluate(payload) {
            Evaluated::Value(Value::Bool(holds)) => Ok(holds),
            Evaluated::Value(other) => Err(ConditionFailed::NotBoolean { found: type_of(&other) }),
            Evaluated::Failed(error) => Err(self.failed(&error)),
            Evaluated::Panicked => Err(ConditionFailed::Panicked),
        }
    }

    /// Its place in the configuration, which names it in logs.
    #[must_use]
    pub const fn place(&self) -> &Arc<str> {
        &self.0.place
    }

    /// The failure without what the library would show of the claims.
    fn failed(&self, error: &ExecutionError) -> ConditionFailed {
        if let ExecutionError::NoSuchKey(name) = error {
            // A key can also be computed from claims, and then is not ours to show.
            let written = self.0.text().contains(name.as_str());
            return ConditionFailed::NoSuchClaim {
                claim: written.then(|| format!("`{name}`").into()),
            };
        }
        if let ExecutionError::NoSuchOverload(overload) = error {
            // Operators are named as in `_==_`.
            let function = overload.function().trim_matches('_').into();
            return ConditionFailed::WrongType { function };
        }
        ConditionFailed::Evaluation
    }
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Function(..) | Value::Opaque(_) | Value::Struct(_) => "another kind",
    }
}

#[cfg(test)]
mod tests;
