use proptest::prelude::*;

use super::*;

fn read(query: &str) -> Reading {
    Reading::of(query, true)
}

fn print(query: &str) -> String {
    read(query).fingerprint.as_str().to_owned()
}

#[track_caller]
fn alike(queries: &[&str]) {
    let first = read(queries[0]);
    for query in queries {
        let reading = read(query);
        assert_eq!(reading.fingerprint, first.fingerprint, "{query}");
        assert_eq!(reading.form, first.form, "{query}");
    }
}

#[track_caller]
fn all_differ(queries: &[&str]) {
    let prints: std::collections::HashSet<String> =
        queries.iter().map(|query| print(query)).collect();
    assert_eq!(prints.len(), queries.len(), "{queries:?}");
}

#[track_caller]
fn masks(query: &str, expected: Option<&str>) {
    assert_eq!(read(query).masked.as_deref(), expected, "{query}");
}

fn lists(shape: &Shape) -> [Vec<&str>; 3] {
    [&shape.metrics, &shape.functions, &shape.labels]
        .map(|names| names.iter().map(AsRef::as_ref).collect())
}

#[test]
fn a_fingerprint_is_the_start_of_the_digest_of_the_common_form() {
    // printf '%s' 'up{}' | sha256sum
    assert_eq!(print("up"), "5c705e287d6c2e16");
    assert_eq!(print(" up # comment"), print("up{}"));
}

#[test]
fn queries_that_differ_in_values_only_are_alike() {
    alike(&[
        r#"sum by (job, code) (rate(http_requests_total{code="500",job=~"a.*"}[5m] offset 1h)) > 0.5"#,
        "sum  by(code,job,)\n(rate(http_requests_total{job=~'',code='x'}[1h30m] offset 2d)) > 1e9",
        r#"sum(rate(http_requests_total{code="1", job=~"[",}[90s] offset -5m)) by (code, job) > 0x1F"#,
        "SUM BY (job, code) (rate(http_requests_total{job=~`(`,code=\"\"}[1w] offset 300)) > Inf # x",
    ]);
    alike(&["up @ 1609746000", "up @ 1.5", "up @ -7"]);
    alike(&["rate(x[5m:1m])", "rate(x[1h:30s])"]);
    alike(&["a + on (x, y) group_left (z, w) b", "a+on(y,x)group_left(w,z)b"]);
    alike(&[r#"{a="1" or b="2"}"#, r#"{b="" or a=""}"#]);
    alike(&[r#"label_replace(up, "a", "$1", "b", "(.*)")"#, r#"label_replace(up,'','','',"x")"#]);
    alike(&[r#"{__name__="up",job="x"}"#, r#"{job="y",__name__="up"}"#, r#"{"up",job=""}"#]);
}

#[test]
fn queries_that_differ_in_more_than_values_differ() {
    all_differ(&[
        "up",
        "down",
        "up[5m]",
        r#"up{job="x"}"#,
        r#"up{job!="x"}"#,
        r#"up{job=~"x"}"#,
        r#"up{instance="x"}"#,
        "up offset 5m",
        "up @ 5",
        "up @ end()",
        "rate(up[5m])",
        "rate(up[5m:])",
        "rate(up[5m:1m])",
        "sum(up)",
        "sum by (job) (up)",
        "sum without (job) (up)",
        "up + up",
        "up - up",
        "up + on (job) up",
        "up + on (job) group_left () up",
        "up + on (job) group_right () up",
        "up > up",
        "up > bool up",
        "-up",
        "(up)",
    ]);
}

#[test]
fn a_shape_names_metrics_functions_and_labels_once_and_in_order() {
    let reading = read(
        r#"topk(5, sum by (job, "le.x") (rate(b_total{code="500"}[5m])) / on (job) group_left (team) a:b)
           or {__name__="quoted", x=~"y"} or {"dotted.name"} or count_values("v", a:b @ start())"#,
    );
    assert_eq!(reading.form, Form::Parsed);
    let shape = reading.shape.unwrap();
    let expected = [
        vec!["a:b", "b_total", "dotted.name", "quoted"],
        vec!["count_values", "rate", "sum", "topk"],
        vec!["code", "job", "le.x", "team", "x"],
    ];
    assert_eq!(lists(&shape), expected);
    assert!(shape.is_complete);
}

#[test]
fn a_shape_says_when_there_is_more() {
    let many: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    let reading = read(&many.join(" or "));
    let shape = reading.shape.unwrap();
    assert_eq!((shape.metrics.len(), shape.is_complete), (64, false));
    let long = read(&"m".repeat(500)).shape.unwrap();
    assert_eq!((long.metrics.len(), long.is_complete), (0, false));
    for query in [
        r#"{__name__=~"secret.*"}"#,
        r#"{__name__="a secret"}"#,
        r#"{"a secret"}"#,
        r#"up{"a secret"="x"}"#,
        r#"sum by ("a secret") (up)"#,
        "rollup_rate(up)",
    ] {
        let shape = read(query).shape.unwrap();
        assert!(!shape.is_complete, "{query}");
        let told = lists(&shape).concat();
        assert!(told.iter().all(|name| !name.contains([' ', '-'])), "{query}: {told:?}");
    }
}

#[test]
fn a_masked_query_keeps_its_shape_and_no_value() {
    masks(
        r#"rate(http_requests_total{job="secret"}[5m])"#,
        Some(r#"rate(http_requests_total{job="***"}[5m])"#),
    );
    masks(
        "sum by(job) ( # a secret\n x{a='s\\'ecret', b!~`s\"ecret`, c=\"\"} )",
        Some(r#"sum by(job) ( x{a="***", b!~"***", c=""} )"#),
    );
    masks(
        r#"label_replace(up, "secret", "se\"cret # ", "secret", "secret") > 0.95"#,
        Some(r#"label_replace(up, "***", "***", "***", "***") > 0.95"#),
    );
    masks("up @ 1609746000 > 4111111111111111", Some("up @ 1609746000 > ***"));
    masks("up > 0xfeedfacecafebeef", Some("up > ***"));
    masks(r#"{__name__="up"}"#, Some(r#"{__name__="up"}"#));
    masks(r#"{"up", "a.b"="secret"}"#, Some(r#"{"up", "a.b"="***"}"#));
    masks(r#"{__name__=~"secret"}"#, Some(r#"{__name__=~"***"}"#));
    masks(r#"{__name__="a secret"}"#, Some(r#"{__name__="***"}"#));
    masks(r#"{"a secret"}"#, Some(r#"{"***"}"#));
}

#[test]
fn what_cannot_be_parsed_is_not_shown() {
    for query in [
        "",
        "secret secret",
        r#"up{job="secret}"#,
        r#"up{job="a"b"}"#,
        "up{job=secret}",
        "up > 5secret",
        "no_such_function(up)",
        "geheim_größe",
        r#""secret" + "#,
        "rate(up)",
    ] {
        let reading = read(query);
        assert_eq!((reading.form, reading.masked), (Form::Lexical, None), "{query}");
    }
}

#[test]
fn another_dialect_is_read_word_by_word() {
    let query =
        r#"WITH (f = {a="1", b=~"2"}) sum(rollup_rate(m{f}[5m])) keep_metric_names default 5Ki"#;
    let reading = read(query);
    assert_eq!((reading.form, reading.masked), (Form::Lexical, None));
    let shape = reading.shape.unwrap();
    assert_eq!(lists(&shape), [vec!["m"], vec!["rollup_rate", "sum"], vec!["a", "b"]]);
    alike(&[
        query,
        r#"WITH(f={b=~"",a="x"})sum(rollup_rate(m{f}[1h]))keep_metric_names default 7"#,
    ]);
    alike(&[
        r#"rate(m{a="1",b="2" or c="3"}) by (x, y)"#,
        r#"rate(m{c="" or b="",a=""}) by (y,x)"#,
    ]);
    all_differ(&["rate(m)", "rate(n)", r#"rate(m{a="1"})"#, "rate(m) by (x)", "rate(m) if 1"]);
}

#[test]
fn words_of_what_is_no_query_are_not_taken_for_names() {
    for query in [
        "Bearer hunter2",
        "password=hunter2",
        "https://alice:hunter2@host/x",
        "up hunter2",
        "hunter2 =",
    ] {
        let reading = read(query);
        assert_eq!(reading.form, Form::Lexical, "{query}");
        let told = reading.shape.map(|shape| format!("{:?}", lists(&shape))).unwrap_or_default();
        assert!(!told.contains("hunter2"), "{query}: {told}");
    }
    let shape = read("up{a='1'} if rate(other[5m]) if hunter2").shape.unwrap();
    assert_eq!(lists(&shape), [vec!["other", "up"], vec!["rate"], vec!["a"]]);
}

#[test]
fn what_the_parser_could_stumble_over_is_read_all_the_same() {
    for (query, form) in [
        ("up[1e300]", Form::Parsed),
        ("up[99999999999999999999y]", Form::Parsed),
        ("up offset Inf", Form::Parsed),
        ("up offset -1e300", Form::Parsed),
        ("up @ NaN", Form::Parsed),
        (r#"up{a=~"("}"#, Form::Parsed),
        ("up{a=\"\\xé1\"}", Form::Parsed),
        (r#"{"\u00"}"#, Form::Parsed),
        ("\u{0}", Form::Lexical),
        ("'", Form::Lexical),
        ("{{{{", Form::Lexical),
        ("up}", Form::Lexical),
    ] {
        assert_eq!(read(query).form, form, "{query:?}");
    }
}

#[test]
fn deep_nesting_is_not_parsed() {
    let deep = |count: usize| format!("{}up{}", "(".repeat(count), ")".repeat(count));
    assert_eq!(read(&deep(100)).form, Form::Parsed);
    assert_eq!(read(&deep(100_000)).form, Form::Lexical);
    assert_eq!(read(&"-".repeat(100_000)).form, Form::Lexical);
    assert_eq!(read(&format!("up{}", " + up".repeat(100_000))).form, Form::Lexical);
}

/// Parts of a query that differ from one writing of it to another.
#[derive(Debug, Clone)]
struct Writing {
    values: Vec<String>,
    numbers: Vec<u32>,
    spaces: Vec<&'static str>,
    turn: bool,
}

fn writing() -> impl Strategy<Value = Writing> {
    let space = prop::sample::select(vec!["", " ", "\n\t", " # it's \"\n"]);
    (
        prop::collection::vec(".{0,12}", 4),
        prop::collection::vec(0..1_000_000_u32, 4),
        prop::collection::vec(space, 8),
        any::<bool>(),
    )
        .prop_map(|(values, numbers, spaces, turn)| Writing { values, numbers, spaces, turn })
}

impl Writing {
    /// One and the same query, but for what may differ.
    fn query(&self, odd: &str) -> String {
        let value = |place: usize| format!("{:?}", self.values[place].replace('\\', ""));
        let value = |place: usize| value(place).replace("\\u{", "{").replace("\\'", "'");
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.spaces[..] else { panic!("eight") };
        let numbers = &self.numbers;
        let mut matchers = [format!("a{s0}={s1}{}", value(0)), format!("b{s2}=~{s3}{}", value(1))];
        let mut labels = ["x", "y"];
        if self.turn {
            matchers.reverse();
            labels.reverse();
        }
        let [first, second] = matchers;
        let [x, y] = labels;
        let (range, above, at, offset) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        format!(
            "sum{s4} by ({x},{s5}{y})(rate(m{s6}{{{first},{s7}{second}}}[{range}s] @ {at} offset {offset}m)){s0} > {above}\
             {odd} or label_replace(n, {}, '', 'v', {})",
            value(2),
            value(3),
        )
    }
}

proptest! {
    #[test]
    fn fingerprints_do_not_depend_on_values_spaces_and_order(one in writing(), other in writing()) {
        for odd in ["", " default 5"] {
            let (one, other) = (one.query(odd), other.query(odd));
            let form = if odd.is_empty() { Form::Parsed } else { Form::Lexical };
            prop_assert_eq!(read(&one).form, form, "{}", one);
            prop_assert_eq!(print(&one), print(&other), "{} and {}", one, other);
            prop_assert_eq!(read(&one).shape, read(&other).shape);
        }
    }

    #[test]
    fn no_value_is_shown_masked(mut one in writing(), secret in "[g-z]{8}") {
        for value in &mut one.values {
            value.push_str(&secret);
        }
        let masked = read(&one.query("")).masked.unwrap();
        prop_assert!(!masked.contains(&secret), "{}", masked);
        // What is masked is a query still, of the same form.
        prop_assert_eq!(print(&masked), print(&one.query("")));
    }

    #[test]
    fn any_text_is_read(text in ".{0,200}") {
        read(&text);
    }

    #[test]
    fn any_words_of_promql_are_read(words in prop::collection::vec(prop::sample::select(vec![
        "up", "sum", "by", "on", "or", "(", ")", "{", "}", "[", "]", ",", "=", "=~", "!=", "!", "'a'", "\"", "`", "5m",
        "1e", "0x", "@", "offset", "start", ":", "-", "__name__", "rate", "#", "\n", "inf", "fill", "é", "group_left",
    ]), 0..40)) {
        for separator in ["", " "] {
            let text = words.join(separator);
            let reading = read(&text);
            prop_assert_eq!(reading.form == Form::Parsed, reading.masked.is_some());
        }
    }
}
