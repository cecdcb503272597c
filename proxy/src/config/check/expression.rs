//! CEL expressions: whether they can be read, name only what exists, and say true or false.
//!
//! The language has no types before it runs, so an expression is also tried on samples of what tokens hold.

use std::{collections::HashMap, fmt, thread};

use cel::{
    Context, ExecutionError, IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr, IdedEntryExpr},
};
use serde_json::{Map, Value as Json, json};

/// Longest expression, in bytes. It also bounds the work of one that nests its loops.
const BYTES_MAX: usize = 4096;

/// Deepest nesting, operators in a row included. It is walked by recursion for every new token, on threads
/// with 2 MiB of stack.
const DEPTH_MAX: usize = 48;

/// Deepest nesting of brackets, and most `?`, those in texts included: the parser takes up to 180 KB of stack
/// for each without optimization, and whoever compiles a good expression again may have 2 MiB.
const BRACKETS_MAX: usize = 8;

/// Stack on which expressions are read, in bytes. The library's parser takes up to 200 KB a level without
/// optimization, and stops at its level 96.
const STACK_BYTES: usize = 64 << 20;

/// The one variable: the claims of a token.
const PAYLOAD: &str = "payload";

/// Why an expression cannot be a condition. It shows nothing of the expression, which could be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
}

impl ExpressionError {
    /// How to mend it.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        match self {
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
}

/// A place in an expression, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    line: usize,
    column: usize,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "character {}", self.column)
    }
}

/// Reads an expression that can be a condition on a token's claims.
///
/// # Errors
/// [`ExpressionError`] when it cannot be read, names what does not exist, or fails on every sample for another
/// reason than a claim that the sample lacks.
pub fn compile_expression(text: &str) -> Result<Program, ExpressionError> {
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
        let reader = reader.spawn_scoped(scope, || checked(text));
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

fn checked(text: &str) -> Result<Program, ExpressionError> {
    let program = Program::compile(text).map_err(|errors| {
        let first = errors.errors.first().map_or((1, 1), |error| error.pos);
        let part = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
        ExpressionError::Unreadable(Spot { line: part(first.0), column: part(first.1) })
    })?;
    if depth(program.expression()) > DEPTH_MAX {
        return Err(ExpressionError::TooDeep);
    }
    names_exist(text, &program)?;
    tried(&program)?;
    Ok(program)
}

/// A context in which `payload` holds these claims.
fn context(claims: &Map<String, Json>) -> Context<'static, 'static> {
    let mut context = Context::default();
    context.add_variable_from_value(PAYLOAD, cel_map(claims));
    context
}

fn cel_map(claims: &Map<String, Json>) -> Value {
    let members = claims.iter().map(|(name, value)| (name.clone(), cel_value(value)));
    Value::from(members.collect::<HashMap<_, _>>())
}

/// Whole numbers become `int`, as literals are, so that sums of the two have a type.
fn cel_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::INFINITY)), Value::Int),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(cel_value).collect::<Vec<_>>()),
        Json::Object(map) => cel_map(map),
    }
}

/// Names are looked up only where the evaluation comes along, so samples alone would not find them all.
fn names_exist(text: &str, program: &Program) -> Result<(), ExpressionError> {
    let mut bound = vec![PAYLOAD];
    let mut named = Vec::new();
    let mut called = Vec::new();
    walk(program.expression(), &mut |node| match &node.expr {
        Expr::Comprehension(each) => {
            bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
            bound.extend(each.iter_var2.as_deref());
        }
        Expr::Ident(name) => named.push((name.as_str(), node.id)),
        Expr::Call(call) => called.push((call.func_name.as_str(), node.id)),
        Expr::Unspecified
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => {}
    });
    let spot = |id| {
        let start = program.source_info().offset_for(id).map_or(0, |(start, _)| start);
        spot(text, usize::try_from(start).unwrap_or(0))
    };
    let none = context(&Map::new());
    for (name, id) in named {
        if !bound.contains(&name) && !name.starts_with('@') && is_undeclared(name, &none) {
            return Err(ExpressionError::UnknownName(spot(id)));
        }
    }
    for (name, id) in called {
        // Operators are called `_==_` and the like.
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let forms = [format!("{name}()"), format!("\"\".{name}()")];
        if plain && forms.iter().all(|form| is_undeclared(form, &none)) {
            return Err(ExpressionError::UnknownFunction(spot(id)));
        }
    }
    Ok(())
}

fn is_undeclared(text: &str, context: &Context<'_, '_>) -> bool {
    Program::compile(text).is_ok_and(|program| {
        matches!(program.execute(context), Err(ExecutionError::UndeclaredReference(_)))
    })
}

/// Visits an expression and all that it holds.
fn walk<'e>(node: &'e IdedExpr, visit: &mut dyn FnMut(&'e IdedExpr)) {
    visit(node);
    for part in parts(node) {
        walk(part, visit);
    }
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

fn tried(program: &Program) -> Result<(), ExpressionError> {
    let mut failed = false;
    let mut answered = false;
    for sample in samples() {
        let claims = sample.as_object().cloned().unwrap_or_default();
        match program.execute(&context(&claims)) {
            Ok(Value::Bool(_)) => answered = true,
            Ok(_) => return Err(ExpressionError::NotTrueOrFalse),
            // The sample lacks a claim that real tokens may have.
            Err(ExecutionError::NoSuchKey(_)) => {}
            Err(_) => failed = true,
        }
    }
    match program.execute(&context(&Map::new())) {
        Ok(Value::Bool(_)) | Err(_) if answered || !failed => Ok(()),
        Ok(Value::Bool(_)) | Err(_) => Err(ExpressionError::FailsOnSamples),
        Ok(_) => Err(ExpressionError::NotTrueOrFalse),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    #[test]
    fn conditions_that_can_be_met_are_good() {
        for text in [
            "true",
            "payload.groups.exists(g, g == \"sre\")",
            "payload.groups.exists(g, g in [\"a\", \"b\"])",
            "has(payload.tenant) && payload.tenant.startsWith(\"a-\")",
            "payload.unheard_of.of.claim > 5",
            "\"cognito:groups\" in payload && \"sre\" in payload[\"cognito:groups\"]",
            "payload.exp - payload.iat <= 3600",
            "payload.scope.matches(\"(^| )metrics:read( |$)\")",
            "size(payload.groups) > 0 && type(payload.sub) == string",
            "payload.realm_access.roles.exists(r,\n  r == \"é\")",
            "payload.groups.filter(g, g.endsWith(\"x\")).map(g, size(g)).all(n, n > 1)",
            "payload.aud == \"x\" || \"x\" in payload.aud",
        ] {
            assert_eq!(compile_expression(text).map(drop), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_condition_is_refused_with_its_place() {
        let at = |line, column| Spot { line, column };
        for (text, wanted) in [
            (" ", ExpressionError::Empty),
            ("payload.sub ==", ExpressionError::Unreadable(at(1, 15))),
            ("payload.sub == 'a", ExpressionError::Unreadable(at(1, 16))),
            ("payloud.sub == 'a'", ExpressionError::UnknownName(at(1, 1))),
            ("has(payload.x) &&\n  sre == 'a'", ExpressionError::UnknownName(at(2, 3))),
            (
                "has(payload.x) && payload.x.startWith('a')",
                ExpressionError::UnknownFunction(at(1, 38)),
            ),
            ("lower(payload.sub) == 'a'", ExpressionError::UnknownFunction(at(1, 6))),
            ("payload.sub", ExpressionError::NotTrueOrFalse),
            ("'true'", ExpressionError::NotTrueOrFalse),
            ("size(payload)", ExpressionError::NotTrueOrFalse),
            ("payload.sub > 5", ExpressionError::FailsOnSamples),
            ("has(payload.sub) && payload.sub.matches('[')", ExpressionError::FailsOnSamples),
            ("1 / 0 == 1", ExpressionError::FailsOnSamples),
        ] {
            assert_eq!(compile_expression(text).map(drop), Err(wanted), "{text}");
        }
        assert_eq!(compile_expression(&"(".repeat(5000)).map(drop), Err(ExpressionError::TooLong));
    }

    /// Nested, or in a row, `n` times.
    fn nested(n: usize) -> [String; 8] {
        [
            "(".repeat(n),
            format!("{}1{} == 1", "[".repeat(n), "]".repeat(n)),
            format!("{}true", "!".repeat(n)),
            format!("{}true", "true ? true : ".repeat(n)),
            format!("{}true", "true && ".repeat(n)),
            format!("1{} > 0", " + 1".repeat(n)),
            format!("payload{} == 1", ".a".repeat(n)),
            format!("{}true{}", "[1].all(a, ".repeat(n), ")".repeat(n)),
        ]
    }

    #[test]
    fn what_nests_too_deeply_is_refused_and_the_rest_fits_a_threads_stack() {
        let claims = Map::new();
        let mut good = 0;
        for n in [3, 5, 7, 8, 9, 40, 46, 96, 250, 1000, 2000] {
            for text in nested(n) {
                if compile_expression(&text).is_ok() {
                    let program = Program::compile(&text).expect("it was good");
                    drop(program.execute(&context(&claims)));
                    good += 1;
                }
            }
        }
        assert!(good >= 25, "{good}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([a-z]{1,3}|payload|[.,:?()\\[\\]{}'\"&|=!<>+*/%-]| |[0-9]|\\\\|r|b|é|\n|true|exists|has){0,20}") {
            prop_assert!(text.is_empty() || compile_expression(&text).map(drop) != Err(ExpressionError::TooLong));
        }
    }
}
