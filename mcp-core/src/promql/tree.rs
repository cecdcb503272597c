//! What the grammar of a query tells.
//!
//! The parser never sees a value: it is given the tokens with all values replaced. So it compiles no regular expression,
//! meets no number that it cannot hold, and could repeat nothing that is secret.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use promql_parser::{
    label::{Labels, METRIC_NAME, MatchOp, Matcher, Matchers},
    parser::{
        self, AggregateExpr, AtModifier, BinModifier, BinaryExpr, Expr, LabelModifier, Offset,
        SubqueryExpr, VectorMatchCardinality, VectorSelector,
    },
};

use super::{
    lexical::VALUE,
    shape::{Names, Shape},
    tokens::{Kind, Place, Token},
};

/// Most operators and opening brackets of a query that is parsed. Each may nest one level deeper, and so take stack of
/// whoever walks the tree, and the parser's time grows with the square of the depth.
const NESTING_MAX: usize = 128;

/// Stands for a text in what is parsed. It is no name, so that it is told from one, and a good regular expression.
const TEXT: &str = "-";

/// What the tree of a query tells.
#[derive(Debug)]
pub(super) struct Told {
    /// The text in which queries are the same that are alike.
    pub(super) common: String,
    pub(super) shape: Shape,
}

/// Parses a query; `None` when it is no PromQL.
pub(super) fn told(tokens: &[Token<'_>]) -> Option<Told> {
    let nesting = tokens.iter().filter(|token| nests(token)).count();
    if nesting > NESTING_MAX || !tokens.iter().all(Token::is_sound) {
        return None;
    }
    let plain = plain(tokens);
    // A fault of the library must not end a request.
    let tree = catch_unwind(AssertUnwindSafe(|| parser::parse(&plain))).ok()?.ok()?;
    let mut walk = Walk { common: String::with_capacity(plain.len()), names: Names::default() };
    walk.expression(&tree);
    Some(Told { common: walk.common, shape: walk.names.shape() })
}

/// Whether what follows may be one level deeper in the tree.
fn nests(token: &Token<'_>) -> bool {
    let words = ["and", "or", "unless", "atan2"];
    match token.kind {
        Kind::Symbol => {
            token.place != Place::Braces && !matches!(token.text, ")" | "]" | "," | "@" | ":")
        }
        Kind::Word => words.iter().any(|word| token.is_word(word)),
        Kind::Number | Kind::Name | Kind::Value | Kind::Odd => false,
    }
}

/// The query with all values replaced.
fn plain(tokens: &[Token<'_>]) -> String {
    let mut plain = String::new();
    for token in tokens {
        if !plain.is_empty() {
            plain.push(' ');
        }
        match token.kind {
            Kind::Value => plain.extend(["\"", TEXT, "\""]),
            Kind::Number => plain.push('1'),
            _any if token.is_number_word() => plain.push('1'),
            Kind::Word | Kind::Name | Kind::Symbol | Kind::Odd => plain.push_str(token.text),
        }
    }
    plain
}

/// Writes the common form of a tree and gathers its names.
struct Walk<'a> {
    common: String,
    names: Names<'a>,
}

impl<'a> Walk<'a> {
    fn expression(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Unary(unary) => {
                self.put("-");
                self.expression(&unary.expr);
            }
            Expr::Binary(binary) => self.binary(binary),
            Expr::Paren(paren) => {
                self.put("(");
                self.expression(&paren.expr);
                self.put(")");
            }
            Expr::Subquery(subquery) => self.subquery(subquery),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => self.put(VALUE),
            Expr::VectorSelector(selector) => {
                self.selector(selector);
                self.times(selector.offset.as_ref(), selector.at.as_ref());
            }
            Expr::MatrixSelector(matrix) => {
                self.selector(&matrix.vs);
                self.put("[?]");
                self.times(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref());
            }
            Expr::Call(call) => {
                self.names.function(call.func.name);
                self.put(call.func.name);
                self.arguments(call.args.args.iter().map(AsRef::as_ref));
            }
            // The parser makes none.
            Expr::Extension(_) => self.names.leave_out(),
        }
    }

    fn put(&mut self, text: &str) {
        self.common.push_str(text);
    }

    fn arguments(&mut self, arguments: impl Iterator<Item = &'a Expr>) {
        self.put("(");
        for (place, argument) in arguments.enumerate() {
            self.put(if place > 0 { "," } else { "" });
            self.expression(argument);
        }
        self.put(")");
    }

    fn aggregate(&mut self, aggregate: &'a AggregateExpr) {
        let AggregateExpr { op, expr, param, modifier } = aggregate;
        let start = self.common.len();
        // Writing into a `String` cannot fail.
        write!(self.common, "{op}").unwrap_or_default();
        let name = self.common.get(start..).unwrap_or_default();
        if let Some(name) = AGGREGATIONS.into_iter().find(|known| *known == name) {
            self.names.function(name);
        } else {
            self.names.leave_out();
        }
        if let Some(modifier) = modifier {
            self.grouping(modifier, "by", "without");
        }
        self.arguments(param.iter().chain([expr]).map(AsRef::as_ref));
    }

    fn grouping(&mut self, modifier: &'a LabelModifier, include: &str, exclude: &str) {
        let (word, labels) = match modifier {
            LabelModifier::Include(labels) => (include, labels),
            LabelModifier::Exclude(labels) => (exclude, labels),
        };
        self.put(" ");
        self.put(word);
        self.labels(labels);
    }

    fn labels(&mut self, labels: &'a Labels) {
        let mut labels: Vec<&str> = labels.labels.iter().map(|label| self.label(label)).collect();
        labels.sort_unstable();
        self.put("(");
        self.put(&labels.join(","));
        self.put(")");
    }

    /// Notes a label, and gives its name or what stands for one that does not read like a name.
    fn label(&mut self, name: &'a str) -> &'a str {
        if name == TEXT {
            self.names.leave_out();
            return VALUE;
        }
        self.names.label(name);
        name
    }

    fn binary(&mut self, binary: &'a BinaryExpr) {
        let BinaryExpr { op, lhs, rhs, modifier } = binary;
        self.expression(lhs);
        write!(self.common, " {op}").unwrap_or_default();
        if let Some(modifier) = modifier {
            self.joining(modifier);
        }
        self.put(" ");
        self.expression(rhs);
    }

    fn joining(&mut self, modifier: &'a BinModifier) {
        let BinModifier { card, matching, return_bool, fill_values } = modifier;
        self.put(if *return_bool { " bool" } else { "" });
        if let Some(matching) = matching {
            self.grouping(matching, "on", "ignoring");
        }
        match card {
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {}
            VectorMatchCardinality::ManyToOne(labels) => {
                self.put(" group_left");
                self.labels(labels);
            }
            VectorMatchCardinality::OneToMany(labels) => {
                self.put(" group_right");
                self.labels(labels);
            }
        }
        self.put(if fill_values.lhs.is_some() { " fill_left(?)" } else { "" });
        self.put(if fill_values.rhs.is_some() { " fill_right(?)" } else { "" });
    }

    fn subquery(&mut self, subquery: &'a SubqueryExpr) {
        self.expression(&subquery.expr);
        self.put(if subquery.step.is_some() { "[?:?]" } else { "[?:]" });
        self.times(subquery.offset.as_ref(), subquery.at.as_ref());
    }

    fn times(&mut self, offset: Option<&Offset>, at: Option<&AtModifier>) {
        match at {
            None => {}
            Some(AtModifier::Start) => self.put(" @ start()"),
            Some(AtModifier::End) => self.put(" @ end()"),
            Some(AtModifier::At(_)) => self.put(" @ ?"),
        }
        self.put(if offset.is_some() { " offset ?" } else { "" });
    }

    fn selector(&mut self, selector: &'a VectorSelector) {
        let Matchers { matchers, or_matchers } = &selector.matchers;
        let mut groups: Vec<&[Matcher]> = or_matchers.iter().map(Vec::as_slice).collect();
        if groups.is_empty() {
            groups.push(matchers);
        }
        let mut parts: Vec<String> = groups.iter().map(|group| self.group(group)).collect();
        parts.sort_unstable();
        if let Some(name) = &selector.name {
            self.names.metric(name);
            self.put(name);
        }
        self.put("{");
        self.put(&parts.join(" or "));
        self.put("}");
    }

    /// The matchers of a group, in order.
    fn group(&mut self, group: &'a [Matcher]) -> String {
        let mut parts: Vec<String> = Vec::with_capacity(group.len());
        for Matcher { op, name, value } in group {
            let op_text = match op {
                MatchOp::Equal => "=",
                MatchOp::NotEqual => "!=",
                MatchOp::Re(_) => "=~",
                MatchOp::NotRe(_) => "!~",
            };
            let names = name == METRIC_NAME && matches!(op, MatchOp::Equal) && value != TEXT;
            if names {
                self.names.metric(value);
                parts.push([METRIC_NAME, op_text, value].concat());
                continue;
            }
            let label = if name == METRIC_NAME {
                // A pattern, which may stand for any metric.
                self.names.leave_out();
                METRIC_NAME
            } else {
                self.label(name)
            };
            parts.push([label, op_text, VALUE].concat());
        }
        parts.sort_unstable();
        parts.join(",")
    }
}

/// Aggregations of the grammar.
const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
];
