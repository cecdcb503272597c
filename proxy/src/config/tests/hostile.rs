//! Files that were made to harm, and random ones.

use super::{freepik::FREEPIK_HTTP, *};

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let line = format!("x-a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
        text.push_str(&line);
    }
    let faults = faults_of(&with_backend(&text));
    assert_eq!(faults.len(), 1);
    let refused = faults[0].contains("unfold to more than") || faults[0].contains("repetition");
    assert!(refused, "{faults:?}");
}

#[test]
fn a_long_text_that_is_repeated_by_aliases_is_refused() {
    let text = format!(
        "x-a: &a {}\nx-b: [{}]\n{ONE_BACKEND}",
        "y".repeat(100_000),
        vec!["*a"; 200].join(", ")
    );
    let faults = faults_of(&text);
    assert!(faults.len() == 1 && faults[0].contains("unfold to more than"), "{}", faults.len());
}

#[test]
fn deep_nesting_is_refused() {
    let faults = faults_of(&("[".repeat(5_000) + &"]".repeat(5_000)));
    assert!(faults.len() == 1 && faults[0].contains("recursion limit"), "{faults:?}");
}

#[test]
fn of_very_many_faults_the_first_hundred_are_kept() {
    let lines: Vec<String> = (0..500).map(|n| format!("key{n}: 1")).collect();
    let text = lines.join("\n");
    let faults = parse(Path::new("c.yaml"), &text, &Variables::default()).expect_err("faults");
    assert_eq!(faults.faults().len(), 100);
    assert!(faults.to_string().ends_with("c.yaml: and 402 more faults"), "{faults}");
}

/// Keys of an issuer that the example does without.
const ISSUER: &str = "        jwks_uri: https://idp.example.com/keys
        audiences: [a]
        stale_max: 2h
        algorithms: [RS256]
        optional_claims: [sub]
        required_claims:
          token_use: access
        issuers:
          - issuer: b
            audiences: [a]
            jwks: '{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}'
";

/// Sessions and replicas, with a value for each kind of key.
const REPLICAS: &str = "sessions:
  max_age: 2h
  keys:
    - a key of 32 bytes for tests, one
  store: redis
  redis:
    url: redis://127.0.0.1:6379/0
    username: u
    password: p
    key_prefix: p
    when_down: memory
cluster:
  listen: :8081
  advertise: 127.0.0.1:8081
  keys:
    - a key of 32 bytes for tests, two
  peers:
    static: 127.0.0.1:8081,127.0.0.1:8082
  probe:
    down_after: 3
    timeout: 1s
  hops_max: 2
";

/// A file that has a value for nearly every key.
fn full() -> String {
    let read = |name: &str| fs::read_to_string(conf_folder().join(name)).expect("the file");
    let defaults = read("promgate.yaml");
    let (defaults, _) = defaults.split_once("middleware:").expect("a section");
    let defaults: String = defaults.lines().map(|line| uncommented(line) + "\n").collect();
    let tokens = read("tokens.yaml").replace("${ISSUER}", "https://idp.example.com");
    let tokens = tokens.replace("        discovery: true\n", ISSUER);
    let tokens = tokens.replace("who: { groups", "who: { issuers: [b], groups");
    let (_, tokens) = tokens.split_once("middleware:").expect("a section");
    let (_, oauth) = FREEPIK_HTTP.split_once("oauth_authorization_server:").expect("a section");
    let (oauth, _) = oauth.split_once("oauth_protected_resource:").expect("a section");
    let text = format!("{defaults}{REPLICAS}middleware:{tokens}oauth_authorization_server:{oauth}");
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn the_file_that_the_properties_change_is_good() {
    parsed(&full());
}

const CANARY: &str = "hunter2canary";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_the_loader_panic(text in ".{0,200}") {
        drop(parse(Path::new("c.yaml"), &text, &Variables::default()));
    }

    #[test]
    fn no_text_of_yaml_signs_makes_the_loader_panic(
        text in "([a-z$\\{\\}]{1,3}|[-:?&*!|>'\"%@\\[\\]\\{\\},#~<] ?|\n|\n  |: |- |<<: |\\*a|&a |---\n|0x1|1e9|!!int |\t|\u{feff}|\u{0}){0,60}"
    ) {
        drop(parse(Path::new("c.yaml"), &text, &Variables::default()));
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_loader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, "[-a-z0-9:${}\\[\\]&*!\"'\n ]{0,6}"), 1..6)
    ) {
        let mut chars: Vec<char> = full().chars().collect();
        for (index, remove, insert) in changes {
            let at = index.index(chars.len());
            let end = (at + remove).min(chars.len());
            chars.splice(at..end, insert.chars());
        }
        let text: String = chars.into_iter().collect();
        drop(parse(Path::new("c.yaml"), &text, &Variables::default()));
    }

    #[test]
    fn a_fault_never_shows_a_value(
        line in any::<prop::sample::Index>(),
        shape in prop::sample::select(vec!["@", "\"@\"", "[@]", "{a: @}", "!!int @", "!t @", "*@", "[{@: @}]", "${@", "${@?}", "\"@", "1@", "http://@:@@a?@", "a: @: b", "$$@"]),
    ) {
        let text = full();
        let lines: Vec<&str> = text.lines().collect();
        let chosen = line.index(lines.len());
        let changed: String = lines.iter().enumerate().map(|(index, line)| match line.split_once(": ") {
            Some((key, _)) if index == chosen => format!("{key}: {}\n", shape.replace('@', CANARY)),
            _ => format!("{line}\n"),
        }).collect();
        if let Err(faults) = parse(Path::new("c.yaml"), &changed, &Variables::default()) {
            let known_as_key = shape.contains('{');
            prop_assert!(known_as_key || !faults.to_string().contains(CANARY), "{}", faults);
        }
    }
}
