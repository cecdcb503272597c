use proptest::prelude::*;

use super::*;

#[test]
fn what_a_byte_tells_is_what_its_class_says() {
    for byte in 0..=u8::MAX {
        let says = class(byte) & (AT | ASSIGNS | SPACE | PERCENT | ESCAPED) != 0;
        assert_eq!(tells(byte) != 0, says, "{byte:#x}");
    }
}

proptest! {
    #[test]
    fn nothing_can_be_found_in_a_text_that_is_known_to_be_plain(text in "[a-zA-Z0-9 /._:=@%+\"-]{0,30}", bytes_max in 0_usize..40) {
        if is_plain(text.as_bytes(), bytes_max) {
            prop_assert!(Findings::in_text(text.as_bytes(), text.len(), Detectors::ALL).is_none());
            prop_assert!(decoded(text.as_bytes(), text.len()).is_none());
            prop_assert!(crate::access_log::json::is_plain(text.as_bytes(), bytes_max));
        }
    }
}

#[test]
fn a_text_that_is_plain_holds_nothing_and_stands_for_itself() {
    for text in ["POST", "/mcp", "2026-07-28", "1.0.0", "tools/list", "python-httpx/0.28.1", ""] {
        assert!(is_plain(text.as_bytes(), 128), "{text}");
    }
    for text in
        ["a@b.de", "a%40b", "pwd=x", "k:v", "a b", "a\"b", "a\\b", "\u{e9}", "4111111111111111"]
    {
        assert!(!is_plain(text.as_bytes(), 128), "{text}");
    }
    assert!(is_plain(b"abcd", 4) && !is_plain(b"abcde", 4));
}

fn shown(text: &str, detectors: Detectors) -> String {
    let mut out = String::new();
    let mut from = 0;
    for found in Findings::in_text(text.as_bytes(), text.len(), detectors).into_iter().flatten() {
        out.push_str(text.get(from..found.start).unwrap());
        out.push_str(found.mark);
        from = found.end;
    }
    out.push_str(text.get(from..).unwrap());
    out
}

fn only(change: impl FnOnce(&mut Detectors)) -> Detectors {
    let mut detectors = Detectors::NONE;
    change(&mut detectors);
    detectors
}

fn all_stay(texts: &[&str], detectors: Detectors) {
    for text in texts {
        assert_eq!(shown(text, detectors), *text);
    }
}

#[test]
fn web_tokens_are_found() {
    let on = only(|detectors| detectors.jwt = true);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(shown(token, on), "[jwt]");
    assert_eq!(shown(&format!("up{{a=\"{token}\"}}"), on), "up{a=\"[jwt]\"}");
    assert_eq!(shown(&format!("{token} {token}"), on), "[jwt] [jwt]");
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.";
    assert_eq!(shown(unsigned, on), "[jwt]");
    let encrypted = "eyJhbGciOiJSU0EifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZ.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT";
    assert_eq!(shown(encrypted, on), "[jwt]");
    all_stay(&["eyJhbGciOiJIUzI1NiJ9", "eyJ.eyJ.x", "keyJoin.keyJoin.other", "e.y.J"], on);
}

#[test]
fn keys_of_known_makers_are_found() {
    let on = only(|detectors| detectors.key = true);
    // In parts, so that this file itself holds no key.
    for (begin, rest) in [
        ("AKIA", "IOSFODNN7EXAMPLE"),
        ("gh", "p_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("gls", "a_HOruNAb7SOiCdshU9algkrq7Fds1R0ss_d1e8b9"),
        ("glpat", "-9uYEXAMPLEiU5mnWz4F9"),
        ("sk", "-proj-9uYEXAMPLEiU5mnWz4F9abc"),
        ("sk_live", "_4eC39HqLyjWDarjtT1zdp7dc"),
        ("xoxb", "-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy"),
        ("AIza", "SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe"),
        ("hvs.", "CAESIJlWWtfAY9H8CHu6cKzbcCzZPBTkTRkWg"),
    ] {
        assert_eq!(shown(&format!("a {begin}{rest} b"), on), "a [key] b", "{begin}");
    }
    all_stay(&["sk-short", "risk-adjusted-value-of-a-thing", "AKIA", "ghp_", "npm_version"], on);
}

#[test]
fn private_keys_are_found_to_their_end() {
    let on = only(|detectors| detectors.key = true);
    let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
    assert_eq!(shown(&format!("a {begin}\nMIIEow\nabc\n{end} b"), on), "a [key] b");
    assert_eq!(shown(&format!("a {begin}\nMIIEow"), on), "a [key]", "also one that is cut");
    all_stay(&["-----BEGIN CERTIFICATE-----", "------", "-----BEGIN "], on);
}

#[test]
fn credentials_that_say_what_they_are_are_found() {
    let on = only(|detectors| detectors.key = true);
    for (text, wanted) in [
        ("Bearer abc.def-123", "Bearer [key]"),
        ("x=BEARER%20abcdefgh", "x=BEARER%20[key]"),
        ("Basic dXNlcjpwYXNz", "Basic [key]"),
        ("password=hunter2&x=1", "password=[key]&x=1"),
        ("db_password: \"hunter2\", x", "db_password: \"[key]\", x"),
        ("up{secret=~'canary.*'}", "up{secret=~'[key]'}"),
        ("my_token = abc", "my_token = [key]"),
        ("https://me:hunter2@host/x", "https://[key]@host/x"),
        ("https://me:hun@ter2@host", "https://[key]@host"),
        ("password=[x]s3cr3t!&x=1", "password=[key]&x=1"),
        ("token: [abc]def, x", "token: [key], x"),
        ("password=[x}rest", "password=[key]"),
        ("token: Bearer hunter2hunter2 x", "token: [key] x"),
        ("Authorization: Basic dXNlcjpw, x", "Authorization: [key], x"),
        ("password=bearer+abcdef!rest&x", "password=[key]&x"),
        ("passphrase=abc", "passphrase=[key]"),
        ("Bearer+abcdefgh", "Bearer+[key]"),
    ] {
        assert_eq!(shown(text, on), wanted);
    }
    all_stay(
        &[
            "bearer",
            "Basic usage",
            "sum by (token) (rate(tokens_total[5m]))",
            "secret",
            "http://host:9090/x",
            "passwords",
            "https://host/a:b@c",
            "time=5",
        ],
        on,
    );
}

#[test]
fn a_quoted_credential_goes_to_its_closing_quote() {
    let on = only(|detectors| detectors.key = true);
    for (text, wanted) in [
        (r#"up{password="ab\"rest",a="b"}"#, r#"up{password="[key]",a="b"}"#),
        (r"up{password='ab\'rest'}", "up{password='[key]'}"),
        (r#"{password="ab\\",a="b"}"#, r#"{password="[key]",a="b"}"#),
        (r#"password="ab\"#, r#"password="[key]"#),
        (r"up{password=`a b\`,a=`b`}", "up{password=`[key]`,a=`b`}"),
        (r#""{\"password\":\"hunter2\"}""#, r#""{\"password\":\"[key]""#),
    ] {
        assert_eq!(shown(text, on), wanted, "{text}");
    }
}

#[test]
fn e_mail_addresses_are_found() {
    let on = only(|detectors| detectors.email = true);
    for (text, wanted) in [
        ("alice@example.com", "[email]"),
        ("<alice.b+c@mail.example.co.uk>, x", "<[email]>, x"),
        ("user=\"alice%40example.com\"", "user=\"[email]\""),
        ("write to a@b.io.", "write to [email]."),
        ("a@b.io b@c.io", "[email] [email]"),
    ] {
        assert_eq!(shown(text, on), wanted);
    }
    all_stay(
        &[
            "up @ 1609746000",
            "up@1609746000.5",
            "rate(x[5m] @ end())",
            "@example.com",
            "a@b",
            "a@b.c",
            "100%",
            "a % b.com",
            "a@.com",
        ],
        on,
    );
}

#[test]
fn card_numbers_are_found_by_their_check_digit() {
    let on = only(|detectors| detectors.card = true);
    for (text, wanted) in [
        ("4111111111111111", "[card]"),
        ("a 4111 1111 1111 1111 b", "a [card] b"),
        ("pan=\"5500-0000-0000-0004\"", "pan=\"[card]\""),
        ("3782 822463 10005", "[card]"),
        ("6011111111111117", "[card]"),
        ("12 4111111111111111", "12 [card]"),
        ("4111 1111 1111 1111 123", "[card] 123"),
        ("4111111111111111 12/27 123", "[card] 12/27 123"),
        ("4111-1111-1111-1111-12-27", "[card]-12-27"),
        ("4111 1111 1111 1111 12a", "[card] 12a"),
        ("2026 4111 1111 1111 1111", "2026 [card]"),
        ("4111111111111111 5500000000000004", "[card] [card]"),
    ] {
        assert_eq!(shown(text, on), wanted);
    }
    all_stay(
        &[
            "4111111111111112",
            "1700000000000",
            "1732129714007",
            "x4111111111111111",
            "4111111111111111x",
            "41111111111111111111111",
            "4111 1111 1111 1111111111111",
            "4111 1111 1111",
            "2026-11-20T19:08:34.007",
        ],
        on,
    );
}

#[test]
fn what_looks_random_is_found() {
    let on = only(|detectors| detectors.entropy = true);
    for text in [
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "0192f0c1a7d47b3e9a52f1c0de4b8a61",
        "550e8400-e29b-41d4-a716-446655440000",
        "qwrtpsdfghjklzxcvbnm",
        "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
    ] {
        assert_eq!(shown(text, on), "[secret]");
        assert_eq!(shown(&format!("up{{a=\"{text}\"}}"), on), "up{a=\"[secret]\"}");
    }
}

#[test]
fn words_around_something_random_do_not_hide_it() {
    let on = only(|detectors| detectors.entropy = true);
    let random = "ox85PtP6FqPC5DA3LvHfFq4q49CVyfy467Cn2hd7";
    let words = "word/".repeat(40);
    assert_eq!(
        shown(&format!("/{words}{random}/{words}"), on),
        format!("/{words}[secret]/{words}")
    );
    assert_eq!(shown(&format!("{words}a-name-of-{random}"), on), format!("{words}[secret]"));
    let uuid = "550e8400-e29b-41d4-a716-446655440000";
    assert_eq!(shown(&format!("/users/{uuid}/name"), on), "/users/[secret]/name");
}

#[test]
fn text_that_is_encoded_for_a_url_is_decoded_to_be_looked_at() {
    let told =
        |text: &str| decoded(text.as_bytes(), 100).map(|text| String::from_utf8(text).unwrap());
    assert_eq!(told("/a/b"), None);
    for (text, wanted) in [
        ("a%40b.example", "a@b.example"),
        ("%2Fx%2f", "/x/"),
        ("100%", "100%"),
        ("5%4", "5%4"),
        ("%zz%41%%41", "%zzA%A"),
        ("%2541", "%41"),
    ] {
        assert_eq!(told(text).as_deref(), Some(wanted), "{text}");
    }
    let long = decoded("%41".repeat(5000).as_bytes(), 100).unwrap();
    assert_eq!(long.len(), 100 + LOOK_AHEAD, "no more than is looked at");
    assert_eq!(decoded(format!("{}%41", "a".repeat(5000)).as_bytes(), 100), None);
}

#[test]
fn names_that_people_give_do_not_look_random() {
    all_stay(
        &[
            "prometheus_range_query",
            "node_memory_MemAvailable_bytes",
            "container_network_receive_packets_dropped_total",
            "kube_pod_container_status_last_terminated_reason",
            "http2ClientRequestsIn5xxTotal",
            "histogram_quantile(0.99, sum by (le) (rate(apiserver_request_duration_seconds_bucket[5m])))",
            "promgate-7d9f8b6c5d-x2x4z",
            "ip-10-200-13-7.eu-west-1.compute.internal",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "python-httpx/0.28.1",
            "@modelcontextprotocol/inspector-client/0.17.2",
            "notifications/resources/list_changed",
            "/api/datasources/proxy/uid/prometheus/api/v1/query_range",
            "2026-11-20T19:08:34.007123Z",
            "job:node_cpu_seconds:rate5m",
            "application/json, text/event-stream",
        ],
        Detectors::ALL,
    );
}

#[test]
fn what_two_detectors_see_is_taken_out_once() {
    let text = "password=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhb";
    let shown = shown(text, Detectors::ALL);
    assert!(!shown.contains("dBjf") && !shown.contains("eyJ"), "{shown}");
}

#[test]
fn ids_are_told_from_other_text() {
    let (twelve, twenty) = ("123456789012", "12345678901234567890");
    let hexadecimal = ["0192f0c1a7d47b3e9a52f1c0de4b8a61", "00f067aa0ba902b7", "411111111111111A"];
    for id in ["", "7", twelve, twenty].into_iter().chain(hexadecimal) {
        assert!(is_id(id.as_bytes()), "{id}");
    }
    assert!(is_id(b"550e8400-e29b-41d4-a716-446655440000"));
    let cards = ["4111111111111", "4111111111111111", "4111111111111111111"];
    let others = ["req-1", "g", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g", "4111111111111111x"];
    for other in others.into_iter().chain(cards) {
        assert!(!is_id(other.as_bytes()), "{other}");
    }
    assert!(!is_id(&[b'a'; 33]) && !is_id(&[b'a'; 64]));
}

proptest! {
    #[test]
    fn findings_lie_in_the_text_one_after_the_other(text in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut before = 0;
        for found in Findings::in_text(&text, 300, Detectors::ALL).into_iter().flatten() {
            prop_assert!(found.start >= before && found.end > found.start && found.end <= text.len());
            before = found.end;
        }
    }

    #[test]
    fn text_that_is_made_for_it_is_looked_through(
        pieces in proptest::collection::vec("eyJ|@|a@b\\.io|%40|-----BEGIN |PRIVATE KEY|password|=|://|:|4111|1111| |A{1,30}|[a-zA-Z0-9]{1,40}|\\.", 0..60),
    ) {
        let text = pieces.concat();
        let mut before = 0;
        for found in Findings::in_text(text.as_bytes(), text.len(), Detectors::ALL).into_iter().flatten() {
            prop_assert!(found.start >= before && found.end > found.start && found.end <= text.len());
            before = found.end;
        }
    }

    #[test]
    fn every_card_with_a_right_check_digit_is_found(digits in proptest::collection::vec(0_u8..10, 14), first in 2_u8..7) {
        let mut number: Vec<u8> = std::iter::once(first).chain(digits).collect();
        let check = (0..10).find(|check| {
            let whole: Vec<u8> = number.iter().copied().chain([*check]).collect();
            let sum: u32 = whole.iter().rev().enumerate().map(|(place, digit)| {
                let doubled = u32::from(*digit) * 2;
                if place % 2 == 1 { doubled / 10 + doubled % 10 } else { u32::from(*digit) }
            }).sum();
            sum.is_multiple_of(10)
        }).unwrap();
        number.push(check);
        let text: String = number.iter().map(|digit| char::from(b'0' + digit)).collect();
        prop_assert_eq!(shown(&text, only(|detectors| detectors.card = true)), "[card]");
    }
}

/// Random tokens, drawn the same way each time: a few of a hundred look like words by chance.
#[test]
fn few_random_tokens_are_missed() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let base64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hex = b"0123456789abcdef";
    for (alphabet, length) in [(&base64[..], 32), (base64, 43), (hex, 32), (hex, 40), (hex, 64)] {
        let missed = (0..1000)
            .filter(|_| {
                let token: Vec<u8> =
                    (0..length).map(|_| alphabet[random(alphabet.len())]).collect();
                let on = only(|detectors| detectors.entropy = true);
                Findings::in_text(&token, length, on).is_none()
            })
            .count();
        assert!(missed < 40, "{missed} of 1000 tokens of {length} characters");
    }
}
