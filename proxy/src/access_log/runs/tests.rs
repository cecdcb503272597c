use super::*;
use crate::{
    access_log::{Field, Format, Record, Rules, Tell as _, trial},
    config::Records,
};

const AGENT: Field = Field::UserAgent;

fn known(which: (RulesId, Run), facts: &[Said<'_>]) -> Option<String> {
    let mut out = b"before".to_vec();
    let known = append(&mut out, which, facts);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before").unwrap().to_owned();
    assert!(known || text.is_empty(), "{text}");
    known.then_some(text)
}

#[test]
fn a_run_is_known_by_each_of_its_texts_its_kind_and_its_rules() {
    let (rules, others) = (trial::rules(Records::default()), trial::rules(Records::default()));
    let which = (rules.id(), Run::Client);
    let two =
        |one: &'static str, other: &'static str| [Said::Client(one.as_bytes()), Said::Text(other)];
    assert_eq!(known(which, &two("ab", "c")), None);
    remember(which, &two("ab", "c"), b"written");
    assert_eq!(known(which, &two("ab", "c")).as_deref(), Some("written"));
    for facts in [two("a", "bc"), two("abc", ""), two("ab", "d"), two("xb", "c")] {
        assert_eq!(known(which, &facts), None, "{facts:?}");
    }
    assert_eq!(known(which, &[Said::Client(b"ab"), Said::Nothing]), None);
    assert_eq!(known((rules.id(), Run::Target), &two("ab", "c")), None);
    assert_eq!(known((others.id(), Run::Client), &two("ab", "c")), None);
}

#[test]
fn a_text_that_is_not_there_is_not_an_empty_one() {
    let which = (trial::rules(Records::default()).id(), Run::Client);
    remember(which, &[Said::Nothing, Said::Text("n")], b"one");
    remember(which, &[Said::Client(b""), Said::Text("n")], b"other");
    let nothing = known(which, &[Said::Nothing, Said::Text("n")]);
    assert_eq!(nothing.as_deref(), Some("one"));
    let empty = known(which, &[Said::Client(b""), Said::Text("n")]);
    assert_eq!(empty.as_deref(), Some("other"));
}

#[test]
fn little_is_remembered_for_a_short_time() {
    let which = (trial::rules(Records::default()).id(), Run::Client);
    let long = "n".repeat(BYTES_MAX + 1);
    remember(which, &[Said::Text(&long)], b"long");
    assert_eq!(known(which, &[Said::Text(&long)]), None);
    let names: Vec<_> = (0..=REMEMBERED).map(|number| format!("n{number}")).collect();
    for name in &names {
        remember(which, &[Said::Text(name)], name.as_bytes());
    }
    let are_known = names.iter().map(|name| known(which, &[Said::Text(name)]).is_some());
    let are_known: Vec<_> = are_known.collect();
    assert!(!are_known[0] && are_known[1..].iter().all(|known| *known), "{are_known:?}");
}

#[test]
fn what_is_not_shown_as_it_is_is_not_remembered() {
    let kept = |rules: &Rules, run: Run, agent: &[u8]| {
        let record = Record { user_agent: Some(agent), ..trial::record() };
        let mut out = Vec::new();
        record.write(Format::Json, rules, &mut out);
        REMEMBERED_RUNS.with_borrow_mut(|runs| {
            runs[run.index()].find(|written| written.rules == rules.id()).is_some()
        })
    };
    let shown = trial::rules(Records::default());
    for agent in ["curl/9.1", "Go-http-client/1.1", "Mozilla/5.0 (X11; Linux x86_64)", "größe"] {
        let rules = trial::rules(Records::default());
        assert!(kept(&rules, Run::Client, agent.as_bytes()), "{agent}");
    }
    assert!(!kept(&shown, Run::Client, b"someone@example.com"), "it is taken out");
    assert!(!kept(&shown, Run::Client, b"a\"b"), "it has escapes");
    assert!(!kept(&shown, Run::Client, &[b'a'; 5000]), "it is cut");
    for (field, run) in
        [(AGENT, Run::Client), (Field::Era, Run::Client), (Field::Replica, Run::Target)]
    {
        let without = Records { fields_excluded: vec![field], ..Records::default() };
        assert!(!kept(&trial::rules(without), run, b"curl/9.2"), "nobody is to see {field:?}");
        assert!(kept(&shown, run, b"curl/9.2"));
    }
}
