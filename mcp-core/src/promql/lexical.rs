//! What the tokens of a query tell without its grammar.

use super::{
    shape::{Names, Shape},
    tokens::{Kind, Place, Token},
};

/// Longest number that is shown masked, in bytes: a Unix time in seconds. What is longer may be somebody's number.
const NUMBER_BYTES_MAX: usize = 10;

/// Stands for a value in a common form.
pub(super) const VALUE: &str = "?";

/// Words that are neither metrics nor functions, of PromQL and MetricsQL.
const KEYWORDS: [&str; 18] = [
    "and",
    "or",
    "unless",
    "atan2",
    "bool",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "default",
    "if",
    "ifnot",
    "keep_metric_names",
    "limit",
    "with",
];

/// The query without its values and comments, spaced as it was.
pub(super) fn masked(tokens: &[Token<'_>]) -> String {
    let mut masked = String::new();
    for token in tokens {
        if token.spaced && !masked.is_empty() {
            masked.push(' ');
        }
        masked.push_str(match token.kind {
            Kind::Value if token.content().is_empty() => r#""""#,
            Kind::Value => r#""***""#,
            Kind::Number if token.text.len() > NUMBER_BYTES_MAX => "***",
            Kind::Odd => "***",
            Kind::Word | Kind::Number | Kind::Name | Kind::Symbol => token.text,
        });
    }
    masked
}

/// The text in which queries are the same that differ in values, spaces, comments and the order of labels.
pub(super) fn common(tokens: &[Token<'_>]) -> String {
    let mut common = String::new();
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        let listed = matches!(token.place, Place::Braces | Place::Grouping);
        if !listed {
            push(&mut common, word(token));
            rest = after;
            continue;
        }
        let end = rest.iter().position(|other| other.place != token.place).unwrap_or(rest.len());
        let (list, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        push(&mut common, &sorted(list));
        rest = after;
    }
    common
}

fn push(common: &mut String, word: &str) {
    if !common.is_empty() {
        common.push(' ');
    }
    common.push_str(word);
}

fn word<'a>(token: &Token<'a>) -> &'a str {
    match token.kind {
        Kind::Number | Kind::Value => VALUE,
        _any if token.is_number_word() => VALUE,
        Kind::Word | Kind::Name | Kind::Symbol | Kind::Odd => token.content(),
    }
}

/// A list in its brackets, with its items in order: matchers, which `or` may part into groups, or labels.
fn sorted(list: &[Token<'_>]) -> String {
    let (open, rest) = list.split_first().map_or(("", list), |(open, rest)| (open.text, rest));
    let closed = rest.split_last().filter(|(last, _)| last.is("}") || last.is(")"));
    let (close, items) = closed.map_or(("", rest), |(close, items)| (close.text, items));
    let mut groups: Vec<Vec<String>> = vec![vec![String::new()]];
    for (place, token) in items.iter().enumerate() {
        let names = items.get(place + 1).is_some_and(Token::matches);
        if token.place == Place::Braces && token.is_word("or") && !names {
            groups.push(vec![String::new()]);
        } else if token.is(",") {
            groups.last_mut().into_iter().for_each(|group| group.push(String::new()));
        } else if let Some(item) = groups.last_mut().and_then(|group| group.last_mut()) {
            push(item, word(token));
        }
    }
    let mut groups: Vec<String> = groups
        .into_iter()
        .map(|mut group| {
            group.retain(|item| !item.is_empty());
            group.sort_unstable();
            group.join(" , ")
        })
        .collect();
    groups.sort_unstable();
    [open, &groups.join(" or "), close].join(" ")
}

/// The names in a query that is no PromQL, as far as words tell what they are.
pub(super) fn shape(tokens: &[Token<'_>]) -> Shape {
    let mut names = Names::default();
    // Words can be taken for something else, so this is never known to be all.
    names.leave_out();
    for (place, token) in tokens.iter().enumerate() {
        let after = tokens.get(place + 1);
        let before = place.checked_sub(1).and_then(|place| tokens.get(place));
        let name = token.content();
        match (token.kind, token.place) {
            (Kind::Word | Kind::Name, Place::Grouping) => names.label(name),
            (Kind::Word | Kind::Name, Place::Braces) if after.is_some_and(Token::matches) => {
                if name != "__name__" {
                    names.label(name);
                }
            }
            (Kind::Name, Place::Braces) => names.metric(name),
            (Kind::Word, Place::Plain) => outside(&mut names, token, before, after),
            (
                Kind::Word | Kind::Name | Kind::Number | Kind::Value | Kind::Symbol | Kind::Odd,
                _,
            ) => {}
        }
    }
    names.shape()
}

/// A word that stands in no brackets.
fn outside<'a>(
    names: &mut Names<'a>,
    token: &Token<'a>,
    before: Option<&Token<'a>>,
    after: Option<&Token<'a>>,
) {
    let is_keyword = token.is_number_word() || KEYWORDS.iter().any(|word| token.is_word(word));
    let is_time = before.is_some_and(|before| before.is("@"));
    let selects = after.is_some_and(|after| after.is("{") || after.is("["));
    let calls =
        after.is_some_and(|after| after.is("(") || after.is_word("by") || after.is_word("without"));
    if calls && !is_keyword && !is_time {
        names.function(token.text);
    } else if selects {
        // A word that stands alone is not taken for a metric: this may be no query at all, but a secret.
        names.metric(token.text);
    }
}
