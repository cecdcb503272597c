//! CEL expressions that operators write: read once, with everything that can be known of them beforehand.
//!
//! Whether they can be read, name only what exists, and say true or false. The language has no types before it
//! runs, so an expression is also tried on samples of what tokens hold. It has neither loops without end nor
//! I/O, but this implementation of it has no limit of cost, and a `matches` compiles its pattern anew each
//! time: expressions come from the operator alone, never from a client.

use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    thread,
};

use cel::{
    Context, Env, ExecutionError, IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr, IdedEntryExpr},
};
use serde_json::{Map, Value as Json, json};

mod error;

mod names;

mod filter;

/// Longest expression, in bytes. It also bounds the work of one that nests its loops.
const BYTES_MAX: usize = 4096;

/// Deepest nesting, operators in a row included. It is walked by recursion for every new token, on threads
/// with 2 MiB of stack.
const DEPTH_MAX: usize = 48;

/// Deepest nesting of brackets, and most `?`, those in texts included. Nobody could review more, and it keeps the
/// parser far from the end of its stack.
const BRACKETS_MAX: usize = 32;

/// Stack on which expressions are read, in bytes. The library's parser takes up to 200 KB a level without
/// optimization, and stops at its level 96.
const STACK_BYTES: usize = 64 << 20;

static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

pub use self::{
    error::{ExpressionError, Spot},
    filter::{Facts, Filter},
};

/// What an expression is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// The claims of a token.
    Token,
    /// The facts of an access record.
    Record,
}

impl Subject {
    /// The one variable.
    const fn variable(self) -> &'static str {
        match self {
            Self::Token => "payload",
            Self::Record => "record",
        }
    }

    /// What it is tried on.
    fn samples(self) -> Vec<Payload> {
        match self {
            Self::Token => samples().iter().filter_map(Json::as_object).map(Payload::of).collect(),
            Self::Record => filter::samples().into(),
        }
    }
}

/// An expression that was read and can be a condition on a token's claims. Equal are those of equal text at the
/// same place.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    /// Its place in the configuration, as in `middleware.jwt.validation.local.allow_conditions[0].expression`.
    pub place: Arc<str>,
    program: Arc<Program>,
}

/// The claims of one token, as expressions see them. Made once for all conditions.
pub struct Payload(Context<'static, 'static>);

/// How an evaluation went.
#[derive(Debug)]
pub enum Evaluated {
    /// It came to this.
    Value(Value),
    /// It came to nothing.
    Failed(ExecutionError),
    /// The library panicked.
    Panicked,
}

impl Expression {
    /// Reads an expression that stands at `place`.
    ///
    /// # Errors
    /// [`ExpressionError`] when it cannot be read, names what does not exist, or fails on every sample for another
    /// reason than a claim that the sample lacks.
    pub fn read(text: &str, place: &str) -> Result<Self, ExpressionError> {
        let program = Arc::new(compiled(text, Subject::Token)?);
        Ok(Self { text: text.into(), place: place.into(), program })
    }

    /// The expression as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it comes to for these claims.
    #[must_use]
    pub fn evaluate(&self, payload: &Payload) -> Evaluated {
        evaluated(&self.program, payload)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.place) == (&other.text, &other.place)
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, place, program: _ } = self;
        f.debug_struct("Expression").field("text", text).field("place", place).finish()
    }
}

impl Payload {
    /// The claims of a token.
    #[must_use]
    pub fn of(claims: &Map<String, Json>) -> Self {
        Self::about(Subject::Token, object(claims))
    }

    fn about(subject: Subject, value: Value) -> Self {
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        context.add_variable_from_value(subject.variable(), value);
        Self(context)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}

fn object(members: &Map<String, Json>) -> Value {
    let members = members.iter().map(|(name, value)| (name.as_str(), of_json(value)));
    members.collect::<HashMap<_, _>>().into()
}

/// A whole number is an `int`, as literals are, so that it can be counted with; beyond that type, it is a `uint`
/// or a `double`.
fn of_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(
            || {
                let unsigned = number.as_u64().map(Value::UInt);
                unsigned.unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)))
            },
            Value::Int,
        ),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(of_json).collect::<Vec<_>>().into(),
        Json::Object(members) => object(members),
    }
}

fn evaluated(program: &Program, Payload(context): &Payload) -> Evaluated {
    match catch_unwind(AssertUnwindSafe(|| program.execute(context))) {
        Ok(Ok(value)) => Evaluated::Value(value),
        Ok(Err(error)) => Evaluated::Failed(error),
        Err(_panic) => Evaluated::Panicked,
    }
}

/// Reads the text on a thread of its own, whose stack is large enough for the parser.
fn compiled(text: &str, subject: Subject) -> Result<Program, ExpressionError> {
    if text.trim().is_empty() {
        return Err(ExpressionError::Empty);
    }
    if text.len() > BYTES_MAX {
        return Err(ExpressionError::TooLong);
    }
    if brackets(text) > BRACKETS_MAX || text.matches('?').count() > BRACKETS_MAX {
        return Err(ExpressionError::TooDeep);
    }
    thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK_BYTES);
        let reader = reader.spawn_scoped(scope, || checked(text, subject));
        // The thread ends by itself; a fault in the library must not end the program at a reload.
        reader
            .map_err(|_no_thread| ExpressionError::NoThread)?
            .join()
            .unwrap_or(Err(ExpressionError::Unreadable(Spot { line: 1, column: 1 })))
    })
}

/// How deeply brackets nest.
fn brackets(text: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn checked(text: &str, subject: Subject) -> Result<Program, ExpressionError> {
    let program = LANGUAGE.compile(text).map_err(|errors| {
        let first = errors.errors.first().map_or((1, 1), |error| error.pos);
        let part = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
        ExpressionError::Unreadable(Spot { line: part(first.0), column: part(first.1) })
    })?;
    if depth(program.expression()) > DEPTH_MAX {
        return Err(ExpressionError::TooDeep);
    }
    let spot = |id| {
        let start = program.source_info().offset_for(id).map_or(0, |(start, _)| start);
        spot(text, usize::try_from(start).unwrap_or(0))
    };
    if let Some(unknown) = names::unknown(program.expression(), subject.variable(), &LANGUAGE) {
        let spot = spot(unknown.id);
        return Err(match unknown.kind {
            names::Kind::Variable => ExpressionError::UnknownName(spot),
            names::Kind::Function => ExpressionError::UnknownFunction(spot),
        });
    }
    if subject == Subject::Record
        && let Some(unknown) = filter::unknown_fact(program.expression())
    {
        return Err(ExpressionError::UnknownFact(spot(unknown)));
    }
    tried(&program, subject)?;
    Ok(program)
}

fn depth(node: &IdedExpr) -> usize {
    parts(node).into_iter().map(depth).max().unwrap_or(0) + 1
}

/// What an expression holds directly.
fn parts(node: &IdedExpr) -> Vec<&IdedExpr> {
    fn entry(entry: &IdedEntryExpr) -> Vec<&IdedExpr> {
        match &entry.expr {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
        }
    }
    match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Map(map) => map.entries.iter().flat_map(entry).collect(),
        Expr::Struct(of) => of.entries.iter().flat_map(entry).collect(),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
    }
}

fn spot(text: &str, offset: usize) -> Spot {
    let before: String = text.chars().take(offset).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Spot { line, column }
}

/// What tokens hold, in the shapes of well-known providers.
fn samples() -> [Json; 2] {
    [
        json!({
            "iss": "https://idp.example.com/realms/a", "sub": "5f1c", "aud": "https://mcp.example.com/mcp",
            "exp": 1_800_000_000, "iat": 1_799_999_000, "nbf": 1_799_999_000, "jti": "1", "typ": "Bearer",
            "azp": "client", "scope": "openid groups", "groups": ["sre"], "name": "A", "email": "a@example.com",
            "email_verified": true, "preferred_username": "a", "realm_access": {"roles": ["sre"]},
            "resource_access": {"client": {"roles": ["sre"]}}, "roles": ["sre"], "tenant": "a",
        }),
        json!({
            "iss": "https://idp.example.com/", "sub": "5f1c", "aud": ["https://mcp.example.com/mcp", "b"],
            "exp": 1_800_000_000, "iat": 1_799_999_000, "client_id": "client", "token_use": "access",
            "scope": ["openid"], "scp": ["openid"], "groups": "sre", "cognito:groups": ["sre"], "roles": "sre",
            "username": "a", "oid": "1", "tid": "1", "permissions": ["read"], "tenant": ["a"],
        }),
    ]
}

fn tried(program: &Program, subject: Subject) -> Result<(), ExpressionError> {
    let mut failed = false;
    let mut answered = false;
    for sample in subject.samples() {
        match evaluated(program, &sample) {
            Evaluated::Value(Value::Bool(_)) => answered = true,
            Evaluated::Value(_) => return Err(ExpressionError::NotTrueOrFalse),
            // The sample lacks a claim that real tokens may have.
            Evaluated::Failed(ExecutionError::NoSuchKey(_)) => {}
            Evaluated::Failed(_) | Evaluated::Panicked => failed = true,
        }
    }
    if subject == Subject::Record {
        return if answered { Ok(()) } else { Err(ExpressionError::FailsOnRecords) };
    }
    match evaluated(program, &Payload::of(&Map::new())) {
        Evaluated::Value(Value::Bool(_)) | Evaluated::Failed(_) | Evaluated::Panicked
            if answered || !failed =>
        {
            Ok(())
        }
        Evaluated::Value(Value::Bool(_)) | Evaluated::Failed(_) | Evaluated::Panicked => {
            Err(ExpressionError::FailsOnSamples)
        }
        Evaluated::Value(_) => Err(ExpressionError::NotTrueOrFalse),
    }
}

#[cfg(test)]
mod tests;
