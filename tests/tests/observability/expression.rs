//! As much of PromQL as is needed to say which metrics an expression names, and with which labels.

/// A metric in an expression, with what is asked of its labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: Vec<Matcher>,
}

/// `label="value"`, or with another operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Matcher {
    pub(super) label: String,
    pub(super) operator: String,
    pub(super) value: String,
}

impl Matcher {
    /// The values that it names, of those that have no place for more.
    pub(super) fn values(&self) -> Vec<&str> {
        let open = self.value.contains(['$', '.', '*', '+']);
        if open { Vec::new() } else { self.value.split('|').collect() }
    }
}

/// Every metric in the expression: a name with an underscore or a colon that is no function and no label.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || "_:\"".contains(c)) {
        rest = rest.split_at(start).1;
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').expect("a text ends").1;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let (matchers, after) = braces(after);
        if ["promgate", "process_", "job:", "up", "ALERTS"].iter().any(|own| name.starts_with(own))
        {
            found.push(Selector { name: name.to_owned(), matchers });
        }
        rest = after;
    }
    found
}

/// The matchers in the braces that the text may begin with, and what follows them.
fn braces(text: &str) -> (Vec<Matcher>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut matchers = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return (matchers, after);
        }
        let equals = rest.find(['=', '!']).expect("an operator follows a label");
        let (label, after) = rest.split_at(equals);
        let (operator, after) = after.split_once('"').expect("a value follows an operator");
        let (value, after) = after.split_once('"').expect("a value ends");
        let [label, operator, value] = [label.trim(), operator, value].map(str::to_owned);
        matchers.push(Matcher { label, operator, value });
        rest = after;
    }
}

#[test]
fn names_and_matchers_are_found_and_words_of_the_language_are_not() {
    let text = r#"sum by (job, le) (rate(promgate_a_bucket{job=~"$job", x!="y|z"}[5m])) / job:promgate_b:r"#;
    let found = selectors(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].name, "promgate_a_bucket");
    assert_eq!(found[0].matchers[0].values(), Vec::<&str>::new());
    assert_eq!(found[0].matchers[1].operator, "!=");
    assert_eq!(found[0].matchers[1].values(), ["y", "z"]);
    assert_eq!(found[1].name, "job:promgate_b:r");
}
