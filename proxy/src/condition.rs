//! Conditions that operators write in CEL over a token's claims.
//!
//! The language has neither loops without end nor I/O, but this implementation of it has no limit of cost, and
//! a `matches` compiles its pattern anew each time: expressions come from the operator alone, never from a
//! client. They are evaluated once for each token, not for each request.

mod names;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, ExecutionError, Program, Value};
use serde_json::{Map, json};

use crate::config::Expression;

/// Longest expression taken, in bytes. Its parser is not made for more, and nobody could review it.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// Longest piece of the parser's own words that is shown, in bytes.
const WORDS_BYTES_MAX: usize = 1 << 10;
/// The one variable.
const PAYLOAD: &str = "payload";

static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression that is true or false of a token's claims.
pub struct Condition {
    program: Program,
    text: Arc<str>,
    place: Arc<str>,
}

/// The claims of one token, as conditions see them. Made once for all conditions.
pub struct Payload(Context<'static, 'static>);

/// Why an expression cannot be a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It is no CEL.
    #[error("the expression is no valid CEL: {words}")]
    Syntax {
        /// What the parser says and where.
        words: Box<str>,
    },
    /// It is too long.
    #[error("the expression is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// It names a variable or function that does not exist.
    #[error("the expression names `{name}`, which does not exist; the only variable is `payload`")]
    Undeclared {
        /// The name.
        name: Box<str>,
    },
    /// It came to something else than true or false.
    #[error("the expression is neither true nor false, but a value of type {found}")]
    NotBoolean {
        /// The type.
        found: &'static str,
    },
    /// The library cannot cope with it.
    #[error("the expression cannot be evaluated: the CEL library failed")]
    Panicked,
}

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

/// How an evaluation went.
enum Evaluated {
    Value(Value),
    Failed(ExecutionError),
    Panicked,
}

impl Condition {
    /// Compiles an expression, looks its names up, and tries it on samples of payloads: a name that does not
    /// exist, or a result that is no boolean, is to come to light when the configuration is loaded rather than at
    /// the first request.
    ///
    /// # Errors
    /// [`ConditionError`] when it can never be true or false.
    pub fn compile(expression: &Expression) -> Result<Self, ConditionError> {
        let Expression { text, place } = expression;
        if text.len() > TEXT_BYTES_MAX {
            return Err(ConditionError::TooLong);
        }
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            let program = LANGUAGE.compile(text)?;
            let undeclared = names::undeclared(program.expression(), &LANGUAGE);
            Ok((program, undeclared))
        }));
        let (program, undeclared) = compiled
            .map_err(|_panic| ConditionError::Panicked)?
            .map_err(|faults: cel::ParseErrors| ConditionError::Syntax { words: words(&faults) })?;
        if let Some(name) = undeclared {
            return Err(ConditionError::Undeclared { name: name.into() });
        }
        let condition = Self { program, text: Arc::clone(text), place: Arc::clone(place) };
        for sample in samples() {
            condition.tried_on(&sample)?;
        }
        Ok(condition)
    }

    /// Whether it is true of these claims.
    ///
    /// # Errors
    /// [`ConditionFailed`] when it is neither true nor false. The caller denies then, and logs it.
    pub fn holds(&self, payload: &Payload) -> Result<bool, ConditionFailed> {
        match self.evaluated(payload) {
            Evaluated::Value(Value::Bool(holds)) => Ok(holds),
            Evaluated::Value(other) => Err(ConditionFailed::NotBoolean { found: type_of(&other) }),
            Evaluated::Failed(error) => Err(self.failed(&error)),
            Evaluated::Panicked => Err(ConditionFailed::Panicked),
        }
    }

    /// Its place in the configuration, which names it in logs.
    #[must_use]
    pub const fn place(&self) -> &Arc<str> {
        &self.place
    }

    fn evaluated(&self, payload: &Payload) -> Evaluated {
        match catch_unwind(AssertUnwindSafe(|| self.program.execute(&payload.0))) {
            Ok(Ok(value)) => Evaluated::Value(value),
            Ok(Err(error)) => Evaluated::Failed(error),
            Err(_panic) => Evaluated::Panicked,
        }
    }

    /// A sample may lack a claim or have it in another type, which says nothing of real tokens.
    fn tried_on(&self, sample: &Payload) -> Result<(), ConditionError> {
        match self.evaluated(sample) {
            Evaluated::Failed(ExecutionError::UndeclaredReference(name)) => {
                Err(ConditionError::Undeclared { name: name.as_str().into() })
            }
            Evaluated::Value(Value::Bool(_)) | Evaluated::Failed(_) => Ok(()),
            Evaluated::Value(other) => Err(ConditionError::NotBoolean { found: type_of(&other) }),
            Evaluated::Panicked => Err(ConditionError::Panicked),
        }
    }

    /// The failure without what the library would show of the claims.
    fn failed(&self, error: &ExecutionError) -> ConditionFailed {
        if let ExecutionError::NoSuchKey(name) = error {
            // A key can also be computed from claims, and then is not ours to show.
            let written = self.text.contains(name.as_str());
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

impl Payload {
    /// The claims of a token.
    #[must_use]
    pub fn of(claims: &Map<String, serde_json::Value>) -> Self {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        context.add_variable_from_value(PAYLOAD, object(claims));
        Self(context)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("place", &self.place).finish_non_exhaustive()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}

fn object(members: &Map<String, serde_json::Value>) -> Value {
    let members = members.iter().map(|(name, value)| (name.as_str(), of_json(value)));
    members.collect::<std::collections::HashMap<_, _>>().into()
}

/// A whole number is an `int`, so that it can be counted with; beyond that type, it is a `uint` or a `double`.
fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => number.as_i64().map_or_else(
            || {
                let unsigned = number.as_u64().map(Value::UInt);
                unsigned.unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)))
            },
            Value::Int,
        ),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(of_json).collect::<Vec<_>>().into(),
        serde_json::Value::Object(members) => object(members),
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

fn words(faults: &cel::ParseErrors) -> Box<str> {
    let words = faults.to_string();
    let mut end = words.len().min(WORDS_BYTES_MAX);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.get(..end).unwrap_or_default().trim_end().into()
}

/// Payloads that providers issue, more or less.
fn samples() -> [Payload; 3] {
    let plain = json!({ "iss": "https://idp.example", "sub": "somebody", "aud": "https://mcp.example",
        "exp": 1_900_000_000, "iat": 1_899_999_700, "nbf": 1_899_999_700, "jti": "1" });
    let rich = json!({ "iss": "https://idp.example", "sub": "somebody", "aud": ["https://mcp.example"],
        "exp": 1_900_000_000, "iat": 1_899_999_700, "nbf": 1_899_999_700, "jti": "1",
        "scope": "openid metrics:read", "scp": ["metrics:read"], "client_id": "app", "azp": "app",
        "email": "somebody@example.com", "email_verified": true, "name": "Some Body",
        "preferred_username": "somebody", "hd": "example.com", "tid": "1", "token_use": "access",
        "typ": "Bearer", "groups": ["/team", "team"], "roles": ["reader"],
        "cognito:groups": ["team"], "realm_access": { "roles": ["reader"] },
        "resource_access": { "app": { "roles": ["reader"] } }, "tenant": "team" });
    [json!({}), plain, rich].map(|sample| {
        let empty = Map::new();
        Payload::of(sample.as_object().unwrap_or(&empty))
    })
}

#[cfg(test)]
mod tests;
