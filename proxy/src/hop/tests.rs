#![expect(clippy::string_slice, reason = "hops are ASCII")]

use std::{net::Ipv4Addr, thread};

use http::HeaderValue;
use mcp_core::secret::Secret;
use proptest::prelude::*;

use super::*;

const SKEW: Duration = Duration::from_secs(30);
const PATH: &str = "/mcp?a=b";

fn secret(byte: char) -> Secret {
    Secret::new(byte.to_string().repeat(32))
}

fn keys(bytes: &str) -> Arc<HopKeys> {
    Arc::new(HopKeys::new(&secrets(bytes)).unwrap())
}

fn secrets(bytes: &str) -> Vec<Secret> {
    bytes.chars().map(secret).collect()
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn now() -> SystemTime {
    at(1_800_000_000)
}

fn signer() -> HopSigner {
    HopSigner::new(keys("a")).unwrap()
}

fn checker() -> HopChecker {
    HopChecker::new(keys("a"), node("b:1"), SKEW, at(0))
}

fn hop() -> Hop {
    Hop {
        from: node("a:1"),
        to: node("b:1"),
        hops: 1,
        request_id: "0192f0c1a7d47b3e9a52f1c0de4b8a61".to_owned(),
        session: Some("1.canary.2.3.4".to_owned()),
        opens: false,
        caller: Traveller {
            principal: Some(PrincipalId([7; 16])),
            rules: Rules::Named(vec!["canary-rule".into()]),
            until: Some(at(1_800_000_600)),
        },
        client: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77))),
        body_sha256: None,
        trace: None,
    }
}

fn signed_by(signer: &HopSigner, hop: &Hop) -> Vec<u8> {
    signer.sign(hop, "POST", PATH, now()).unwrap().as_bytes().to_vec()
}

fn checked(checker: &HopChecker, value: &[u8]) -> Result<Hop, HopRefused> {
    checker.check(value, "POST", PATH, now())
}

/// What follows is signed as it stands, whatever it is.
fn signed_text(text: &str) -> Vec<u8> {
    let keys = keys("a");
    let keys = keys.current();
    let key_and_hop = format!("{}.{}", keys.first().id(), BASE64_URL_SAFE_NO_PAD.encode(text));
    let mac = keys.first().sign(&sign::signed(&key_and_hop, "POST", PATH));
    format!("{key_and_hop}.{mac}").into_bytes()
}

#[test]
fn a_hop_arrives_as_it_was_sent_and_only_once() {
    let (signer, checker) = (signer(), checker());
    let value = signed_by(&signer, &hop());
    assert_eq!(checked(&checker, &value), Ok(hop()));
    assert_eq!(checked(&checker, &value), Err(HopRefused::Replayed));
    let again = signed_by(&signer, &hop());
    assert_ne!(value, again, "each is good once");
    assert_eq!(checked(&checker, &again), Ok(hop()));
}

#[test]
fn of_many_that_bring_the_same_hop_at_once_one_is_taken() {
    let (signer, checker) = (signer(), checker());
    for _ in 0..50 {
        let value = signed_by(&signer, &hop());
        let ask = || checked(&checker, &value);
        let answers = thread::scope(|scope| {
            let asked = [scope.spawn(ask), scope.spawn(ask), scope.spawn(ask), scope.spawn(ask)];
            asked.map(|asked| asked.join().unwrap())
        });
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(taken, 1);
    }
}

#[test]
fn another_addressee_method_or_path_is_refused() {
    let (signer, checker) = (signer(), checker());
    let value = signed_by(&signer, &hop());
    for (method, path) in [
        ("GET", PATH),
        ("post", PATH),
        ("POST", "/mcp"),
        ("POST", "/mcp?a=c"),
        ("POS", "T/mcp?a=b"),
    ] {
        assert_eq!(checker.check(&value, method, path, now()), Err(HopRefused::Signature));
    }
    let other = HopChecker::new(keys("a"), node("c:1"), SKEW, at(0));
    assert_eq!(checked(&other, &value), Err(HopRefused::Addressee));
    assert_eq!(checked(&checker, &value), Ok(hop()), "what was refused did not use it up");
}

#[test]
fn a_question_to_anyone_is_taken_where_replicas_say_how_they_are_and_nowhere_else() {
    let (signer, checker) = (signer(), checker());
    let hop = Hop { to: NodeName::anyone(), ..hop() };
    let asked = |method: &str, path: &str| {
        let value = signer.sign(&hop, method, path, now()).unwrap();
        checker.check(value.as_bytes(), method, path, now()).map(|_hop| ())
    };
    assert_eq!(asked("GET", STATUS_PATH), Ok(()));
    for (method, path) in [("POST", STATUS_PATH), ("GET", "/mcp"), ("answer", STATUS_PATH)] {
        assert_eq!(asked(method, path), Err(HopRefused::Addressee), "{method} {path}");
    }
}

#[test]
fn the_clocks_may_differ_by_the_skew_and_no_more() {
    let signer = signer();
    let millisecond = Duration::from_millis(1);
    let cases = [
        (SKEW, true),
        (Duration::ZERO, true),
        (SKEW + millisecond, false),
        (Duration::from_secs(1 << 30), false),
    ];
    for (apart, taken) in cases {
        for later in [now() + apart, now() - apart] {
            let value = signed_by(&signer, &hop());
            let checked = checker().check(&value, "POST", PATH, later);
            assert_eq!(checked, if taken { Ok(hop()) } else { Err(HopRefused::Clock) });
        }
    }
}

#[test]
fn what_was_signed_before_the_start_is_refused() {
    let signer = signer();
    let value = signed_by(&signer, &hop());
    let started = |started| HopChecker::new(keys("a"), node("b:1"), SKEW, started);
    assert_eq!(checked(&started(now()), &value), Ok(hop()));
    let after = started(now() + Duration::from_millis(1));
    assert_eq!(checked(&after, &value), Err(HopRefused::Clock));
}

#[test]
fn a_changed_key_goes_on_verifying_until_it_is_removed() {
    let (sending, taking) = (keys("a"), keys("a"));
    let signer = HopSigner::new(Arc::clone(&sending)).unwrap();
    let checker = HopChecker::new(Arc::clone(&taking), node("b:1"), SKEW, at(0));
    taking.replace(&secrets("ab")).unwrap();
    assert_eq!(checked(&checker, &signed_by(&signer, &hop())), Ok(hop()));
    sending.replace(&secrets("ba")).unwrap();
    assert_eq!(checked(&checker, &signed_by(&signer, &hop())), Ok(hop()));
    taking.replace(&secrets("a")).unwrap();
    assert_eq!(checked(&checker, &signed_by(&signer, &hop())), Err(HopRefused::Key));
    assert!(taking.replace(&[Secret::new("short")]).is_err());
    sending.replace(&secrets("a")).unwrap();
    assert_eq!(checked(&checker, &signed_by(&signer, &hop())), Ok(hop()), "the old keys stayed");
}

#[test]
fn the_keys_of_session_ids_sign_no_hops_even_from_the_same_secret() {
    let session_keys = mcp_core::signing::SigningKeys::new(&secrets("a"), "session id 1").unwrap();
    assert_eq!(keys("a").current().named(session_keys.first().id()).count(), 0);
}

#[test]
fn a_hop_that_would_not_fit_is_not_sent_and_the_longest_that_fits_arrives() {
    let (signer, checker) = (signer(), checker());
    let with = |length: usize| Hop { request_id: "x".repeat(length), ..hop() };
    let fits = |length: &usize| signer.sign(&with(*length), "POST", PATH, now()).is_ok();
    let longest = (5000..HOP_BYTES_MAX).take_while(fits).last().unwrap();
    let value = signed_by(&signer, &with(longest));
    assert!(value.len() > HOP_BYTES_MAX - 8 && value.len() <= HOP_BYTES_MAX);
    assert_eq!(checked(&checker, &value), Ok(with(longest)));
    let refused = signer.sign(&with(longest + 1), "POST", PATH, now());
    assert!(matches!(refused, Err(CannotSign::TooLong)));
    let time = Traveller { until: Some(at(0) - SKEW), ..hop().caller };
    let refused = signer.sign(&Hop { caller: time, ..hop() }, "POST", PATH, now());
    assert!(matches!(refused, Err(CannotSign::Json(_))));
}

#[test]
fn two_hundred_rules_with_long_names_fit() {
    let names = (0..200).map(|number| format!("{number:0>24}").into()).collect();
    let caller = Traveller { rules: Rules::Named(names), ..hop().caller };
    let value = signed_by(&signer(), &Hop { caller: caller.clone(), ..hop() });
    assert_eq!(checked(&checker(), &value).unwrap().caller.rules, caller.rules);
}

#[test]
fn what_a_key_signed_in_another_form_is_malformed() {
    let good = r#"{"at_ms":1800000000000,"nonce":{"instance":1,"number":1},"hop":{"from":"a:1","to":"b:1","hops":1,"request_id":"r","caller":{"rules":"everything"},"later":[1]}}"#;
    let hop = checked(&checker(), &signed_text(good)).unwrap();
    assert_eq!(
        (hop.caller.rules, hop.caller.principal, hop.session),
        (Rules::Everything, None, None)
    );
    assert!(!hop.opens && hop.client.is_none() && hop.body_sha256.is_none());
    for bad in [
        "",
        "{}",
        "null",
        &good.replace("b:1", "b 1"),
        &good.replace("\"hops\":1", "\"hops\":256"),
        &good.replace("\"hops\":1,", ""),
        &good.replace("everything", "anything"),
        &good.replace(",\"later\":[1]", ",\"body_sha256\":\"AAAA\""),
        &good.replace(",\"later\":[1]", ",\"opens\":false,\"opens\":true"),
        &format!("{good}x"),
        &"[".repeat(5000),
    ] {
        assert_eq!(checked(&checker(), &signed_text(bad)), Err(HopRefused::Malformed), "{bad}");
    }
}

#[test]
fn each_part_that_is_missing_is_a_fault_with_a_name() {
    let value = String::from_utf8(signed_by(&signer(), &hop())).unwrap();
    let (key_and_hop, mac) = value.rsplit_once('.').unwrap();
    let cases = [
        ("", "malformed"),
        (".", "malformed"),
        ("..", "unknown_key"),
        (mac, "malformed"),
        (key_and_hop, "malformed"),
        (&value[1..], "unknown_key"),
        (&format!("{key_and_hop}."), "signature"),
        (&format!("{value}."), "signature"),
        (&format!("{value}{}", "A".repeat(HOP_BYTES_MAX)), "malformed"),
    ];
    for (text, word) in cases {
        assert_eq!(checked(&checker(), text.as_bytes()).unwrap_err().word(), word, "{text}");
    }
}

#[test]
fn a_body_is_covered_by_its_own_digest_alone() {
    assert!(!hop().covers(b""), "no digest covers nothing");
    let hop = Hop { body_sha256: Some(BodyDigest::of(b"leave")), ..hop() };
    let hop = checked(&checker(), &signed_by(&signer(), &hop)).unwrap();
    assert!(hop.covers(b"leave"));
    assert!(!hop.covers(b"stay") && !hop.covers(b""));
}

#[test]
fn nothing_that_is_shown_names_a_key_a_session_or_a_caller() {
    let (signer, checker, keys) = (signer(), checker(), keys("a"));
    let value: HeaderValue = signer.sign(&hop(), "POST", PATH, now()).unwrap();
    assert!(value.is_sensitive());
    let shown = format!("{:?} {:?} {value:?} {signer:?} {checker:?} {keys:?}", hop(), hop().caller);
    for secret in ["canary", "192.0.2.77", "aaaa", "[7,"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("0192f0c1a7d47b3e9a52f1c0de4b8a61"), "{shown}");
}

fn any_hop() -> impl Strategy<Value = Hop> {
    let caller = (
        any::<Option<[u8; 16]>>(),
        proptest::option::of(proptest::collection::vec("[ -~]{0,20}", 0..8)),
        any::<Option<u32>>(),
    );
    let caller = caller.prop_map(|(principal, rules, until)| Traveller {
        principal: principal.map(PrincipalId),
        rules: rules.map_or(Rules::Everything, |names| {
            Rules::Named(names.into_iter().map(Arc::from).collect())
        }),
        until: until.map(|until| at(until.into())),
    });
    let session = proptest::option::of("[!-~]{1,128}");
    (session, any::<u8>(), ".{0,80}", any::<Option<IpAddr>>(), any::<bool>(), caller).prop_map(
        |(session, hops, request_id, client, opens, caller)| Hop {
            hops,
            request_id,
            session,
            opens,
            caller,
            client,
            ..hop()
        },
    )
}

proptest! {
    #[test]
    fn any_hop_arrives_as_it_was_sent(hop in any_hop()) {
        let value = signed_by(&signer(), &hop);
        prop_assert_eq!(checked(&checker(), &value), Ok(hop));
    }

    #[test]
    fn any_changed_byte_is_refused(hop in any_hop(), place: proptest::sample::Index, byte: u8) {
        let value = signed_by(&signer(), &hop);
        let mut changed = value.clone();
        changed[place.index(value.len())] = byte;
        prop_assert_eq!(checked(&checker(), &changed).is_ok(), changed == value);
    }

    #[test]
    fn any_cut_and_any_extension_is_refused(cut: proptest::sample::Index, more in proptest::collection::vec(any::<u8>(), 1..9)) {
        let value = signed_by(&signer(), &hop());
        let cut = cut.index(value.len());
        prop_assert!(checked(&checker(), &value[..cut]).is_err());
        prop_assert!(checked(&checker(), &value[cut + 1..]).is_err());
        prop_assert!(checked(&checker(), &[value.as_slice(), more.as_slice()].concat()).is_err());
        prop_assert!(checked(&checker(), &[more.as_slice(), value.as_slice()].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[A-Za-z0-9_.-]{0,300}") {
        prop_assert!(checked(&checker(), &bytes).is_err());
        prop_assert!(checked(&checker(), text.as_bytes()).is_err());
    }

    #[test]
    fn signed_nonsense_is_refused_without_a_panic(text in ".{0,200}") {
        prop_assert_eq!(checked(&checker(), &signed_text(&text)), Err(HopRefused::Malformed));
    }

    #[test]
    fn a_signature_of_one_hop_fits_no_other(one in any_hop(), other in any_hop()) {
        let signer = signer();
        let (one, other) = (signed_by(&signer, &one), signed_by(&signer, &other));
        let dot = |value: &[u8]| value.iter().rposition(|byte| *byte == b'.').unwrap();
        let mixed = [&one[..dot(&one)], &other[dot(&other)..]].concat();
        prop_assert_eq!(checked(&checker(), &mixed), Err(HopRefused::Signature));
    }

    #[test]
    fn hops_in_any_order_are_taken_once_each(order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(), repeated in proptest::collection::vec(0..40_usize, 0..40)) {
        let (signer, checker) = (signer(), checker());
        let values: Vec<_> = (0..40).map(|_| signed_by(&signer, &hop())).collect();
        let mut seen = std::collections::HashSet::new();
        for place in order.into_iter().chain(repeated) {
            let expected = if seen.insert(place) { Ok(hop()) } else { Err(HopRefused::Replayed) };
            prop_assert_eq!(checked(&checker, &values[place]), expected);
        }
    }
}
