//! Filters: expressions over the facts of an access record.
//!
//! A fact that is not known is `null`, so that `record.tool != "x"` is true of a request without a tool. What cannot be
//! evaluated for a record takes it: a log that holds too much is better than one that holds too little.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Program, Value,
    common::ast::{Expr, IdedExpr},
};

use super::{Evaluated, ExpressionError, Payload, Subject, compiled, evaluated, parts};
use crate::field::{Field, Kind};

/// An expression that takes some records and leaves others. Equal are those of equal text.
#[derive(Clone)]
pub struct Filter {
    text: Arc<str>,
    program: Arc<Program>,
    /// The facts for which it asks.
    fields: Arc<[Field]>,
}

/// The facts of one record, as filters see them.
#[derive(Debug)]
pub struct Facts(Vec<(Field, Value)>);

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`ExpressionError`] when it cannot be read, names what does not exist, or fails on every sample.
    pub fn read(text: &str) -> Result<Self, ExpressionError> {
        let program = compiled(text, Subject::Record)?;
        let mut fields = Vec::new();
        visit(program.expression(), &mut |_, field| fields.extend(field));
        fields.sort_unstable();
        fields.dedup();
        Ok(Self { text: text.into(), program: Arc::new(program), fields: fields.into() })
    }

    /// The facts for which it asks.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether it takes a record of these facts.
    #[must_use]
    pub fn takes(&self, facts: &Facts) -> bool {
        let facts = facts.payload(&self.fields);
        !matches!(evaluated(&self.program, &facts), Evaluated::Value(Value::Bool(false)))
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.text).finish()
    }
}

impl Facts {
    /// None yet.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a text.
    pub fn text(&mut self, field: Field, text: &str) {
        self.0.push((field, Value::from(text)));
    }

    /// Adds a number.
    pub fn number(&mut self, field: Field, number: u64) {
        let value = i64::try_from(number).map_or(Value::UInt(number), Value::Int);
        self.0.push((field, value));
    }

    /// Adds a number with decimals.
    pub fn decimal(&mut self, field: Field, number: f64) {
        self.0.push((field, Value::Float(number)));
    }

    /// Adds several texts.
    pub fn list<'t, I: Iterator<Item = &'t str>>(&mut self, field: Field, texts: I) {
        self.0.push((field, texts.map(Value::from).collect::<Vec<_>>().into()));
    }

    fn payload(&self, fields: &[Field]) -> Payload {
        let known = |field: Field| self.0.iter().find(|(known, _)| *known == field);
        let value = |field: Field| known(field).map_or(Value::Null, |(_, value)| value.clone());
        let facts = fields.iter().map(|field| (field.name(), value(*field)));
        Payload::about(Subject::Record, facts.collect::<HashMap<_, _>>().into())
    }
}

/// Whether a filter can ask for a field: objects are for who reads the log.
const fn can_be_asked(field: Field) -> bool {
    !matches!(field.kind(), Kind::Object)
}

/// The place at which an expression asks for a fact that there is not, or for the record as a whole.
pub(super) fn unknown_fact(expression: &IdedExpr) -> Option<u64> {
    let mut unknown = None;
    visit(expression, &mut |id, field| {
        if field.is_none() {
            unknown.get_or_insert(id);
        }
    });
    unknown
}

/// Shows each place at which an expression asks for a fact, and for which.
fn visit(expression: &IdedExpr, see: &mut impl FnMut(u64, Option<Field>)) {
    let is_record = |of: &IdedExpr| matches!(&of.expr, Expr::Ident(name) if name.trim_start_matches('.') == Subject::Record.variable());
    if let Expr::Select(select) = &expression.expr
        && is_record(&select.operand)
    {
        let field = Field::of_name(&select.field).filter(|field| can_be_asked(*field));
        see(expression.id, field);
        return;
    }
    if is_record(expression) {
        see(expression.id, None);
        return;
    }
    for part in parts(expression) {
        visit(part, see);
    }
}

/// What records hold: all there is, a refusal, and what a client left behind that went at once.
pub(super) fn samples() -> [Payload; 3] {
    let mut full = Facts::none();
    for field in Field::ALL.iter().copied() {
        match field.kind() {
            Kind::Number => full.number(field, 200),
            Kind::Milliseconds => full.decimal(field, 12.5),
            Kind::List | Kind::ClientList => full.list(field, ["sre"].into_iter()),
            Kind::Object => {}
            Kind::Time | Kind::Word | Kind::Text | Kind::Client | Kind::Address => {
                full.text(field, "a");
            }
        }
    }
    let mut refused = Facts::none();
    for (field, text) in [
        (Field::Time, "2026-01-01T00:00:00.000Z"),
        (Field::RequestId, "r"),
        (Field::Method, "POST"),
        (Field::Path, "/mcp"),
        (Field::Peer, "10.0.0.1:50000"),
        (Field::Outcome, "unauthenticated"),
        (Field::Reason, "expired"),
    ] {
        refused.text(field, text);
    }
    refused.number(Field::Status, 401);
    refused.decimal(Field::DurationMs, 0.5);
    let none = Facts::none();
    [full, refused, none].map(|facts| facts.payload(Field::ALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Filter, ExpressionError> {
        Filter::read(text)
    }

    fn facts(status: Option<u64>, tool: Option<&str>) -> Facts {
        let mut facts = Facts::none();
        if let Some(status) = status {
            facts.number(Field::Status, status);
        }
        if let Some(tool) = tool {
            facts.text(Field::Tool, tool);
        }
        facts.decimal(Field::DurationMs, 1500.0);
        facts
    }

    #[test]
    fn filters_take_what_they_say() {
        let takes = |text: &str, facts: &Facts| read(text).unwrap().takes(facts);
        let (good, bad) = (facts(Some(200), Some("query")), facts(Some(403), None));
        for (text, of_good, of_bad) in [
            ("record.status >= 400", false, true),
            ("record.tool == 'query'", true, false),
            ("record.tool != 'query'", false, true),
            ("record.tool != null", true, false),
            ("record.duration_ms > 1000.0 && record.status == 200", true, false),
            ("record.tool in ['query', 'range'] || record.status > 400", true, true),
            ("true", true, true),
            ("false", false, false),
        ] {
            assert_eq!((takes(text, &good), takes(text, &bad)), (of_good, of_bad), "{text}");
        }
    }

    #[test]
    fn a_record_for_which_a_filter_fails_is_taken() {
        let filter = read("record.status >= 400").unwrap();
        assert!(filter.takes(&facts(None, None)));
    }

    #[test]
    fn only_facts_that_are_asked_for_are_given() {
        let filter =
            read("record.tool == 'a' && (record.status > 1 || record.tool == 'b')").unwrap();
        let mut fields = filter.fields().to_vec();
        fields.sort_by_key(|field| field.name());
        assert_eq!(fields, [Field::Status, Field::Tool]);
    }

    #[test]
    fn a_filter_that_cannot_work_is_refused_with_its_place() {
        for (text, wanted) in [
            ("record.stauts >= 400", "character 7 asks for a fact that records do not have"),
            ("record.headers.a == 'b'", "character 7 asks for a fact that records do not have"),
            ("size(record) > 1", "character 6 asks for a fact that records do not have"),
            ("payload.sub == 'a'", "character 1 names a variable that there is not"),
            ("record.status", "the expression gives something else than true or false"),
            (
                "record.status > 'a'",
                "the expression fails on every kind of record that it was tried on",
            ),
            ("record.status >=", "not a CEL expression: character 17 is not understood"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn records_are_measured_in_whole_numbers_too() {
        assert!(read("record.duration_ms > 1000").unwrap().takes(&facts(None, None)));
        assert!(!read("record.duration_ms > 2000").unwrap().takes(&facts(None, None)));
    }
}
