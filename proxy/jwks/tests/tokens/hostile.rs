//! Tokens that must not be let in, each with the reason that the log shows.

use aws_lc_rs::hmac;
use jsonwebtoken_jwks::refused::Reason;
use serde_json::{Value, json};

use super::mint::{
    AUDIENCE, ISSUER, NOW, PAIRS, Pair, STRICT, claims, decoded, encoded, good, header, now, with,
    without,
};

/// A name, a token, and why it is refused.
pub(super) type Row = (String, String, Reason);

/// The whole table.
pub(super) fn rows() -> Vec<Row> {
    [form(), parts(), headers(), keys(), signatures(), dates(), names()].concat()
}

#[tokio::test]
async fn every_hostile_token_is_refused_for_its_reason() {
    let rows = rows();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (name, token, reason) in rows {
        let outcome = STRICT.verify(&token, now()).await;
        let refused = outcome.map_err(|refused| refused.reason).err();
        if refused != Some(reason) {
            wrong.push(format!("{name}: {refused:?}, not {reason:?}"));
        }
        assert!(STRICT.cached(&token, now()).is_none(), "{name} is not remembered");
        let explained = STRICT.explain(&token, now());
        assert!(explained.verified.is_none(), "{name}");
        assert_eq!(explained.refused.map(|refused| refused.reason), refused, "{name}");
        let first = explained.lines.iter().find_map(|line| line.refused);
        assert_eq!(first, refused, "{name}: the first line refused is the reason");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_table_has_every_reason_that_a_token_alone_can_have() {
    let rows = rows();
    // Those two take another policy, and keys that are away.
    let apart = [Reason::WrongClaim, Reason::KeysUnavailable];
    for reason in Reason::ALL {
        let listed = rows.iter().any(|(_, _, listed)| listed == reason);
        assert_eq!(listed, !apart.contains(reason), "{reason:?}");
    }
}

fn row(name: &str, token: impl Into<String>, reason: Reason) -> Row {
    (name.to_owned(), token.into(), reason)
}

fn split(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// The token as a whole.
fn form() -> Vec<Row> {
    let good = good();
    let [header, payload, signature] = split(&good);
    let long = with(&claims(), "groups", json!(vec!["a-group-of-people"; 500]));
    vec![
        row("nothing", "", Reason::NotThreeParts),
        row("one part", "abc", Reason::NotThreeParts),
        row("an opaque token", "2YotnFZFEjr1zCsicMWpAA", Reason::NotThreeParts),
        row("two parts", format!("{header}.{payload}"), Reason::NotThreeParts),
        row("four parts", format!("{good}.{signature}"), Reason::NotThreeParts),
        row("a dot after it", format!("{good}."), Reason::NotThreeParts),
        row("a dot before it", format!(".{good}"), Reason::NotThreeParts),
        row("six parts", "a.b.c.d.e.f", Reason::NotThreeParts),
        row("a thousand dots", ".".repeat(1000), Reason::NotThreeParts),
        row("a JWE", "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", Reason::Encrypted),
        row("five empty parts", "....", Reason::Encrypted),
        row("8 KiB and a byte", "a".repeat(8193), Reason::TooLong),
        row("well signed and long", PAIRS.rsa.token(&self::header(), &long), Reason::TooLong),
        row("a megabyte", "a".repeat(1 << 20), Reason::TooLong),
        row("three empty parts", "..", Reason::BadHeader),
        row("the scheme too", format!("Bearer {good}"), Reason::BadBase64),
        row("two at once", format!("{good},{good}"), Reason::Encrypted),
        row("quotes", format!("\"{good}\""), Reason::BadBase64),
    ]
}

/// base64url and JSON.
fn parts() -> Vec<Row> {
    let [header, payload, signature] = split(&good());
    let signed = |header: &str, payload: &str| PAIRS.rsa.token_of(header, payload);
    let (head, said) = (self::header().to_string(), claims().to_string());
    let repeated =
        |name: &str, value: &str| said.replacen('{', &format!("{{\"{name}\":{value},"), 1);
    let deep = with(&claims(), "x", nested(20)).to_string();
    // Its last character has two bits over, which decoders that are not strict ignore.
    let loose = {
        let mut loose = signature.clone().into_bytes();
        let last = loose.last_mut().unwrap();
        *last = if *last == b'A' { b'B' } else { *last + 1 };
        String::from_utf8(loose).unwrap()
    };
    vec![
        row("padding", format!("{header}=.{payload}.{signature}"), Reason::BadBase64),
        row("padded signature", format!("{header}.{payload}.{signature}=="), Reason::BadBase64),
        row("standard alphabet", format!("{header}.{payload}.ab+/"), Reason::BadBase64),
        row("a space", format!("{header}.{payload} .{signature}"), Reason::BadBase64),
        row("a line end", format!("{header}.{payload}.{signature}\n"), Reason::BadBase64),
        row("a zero byte", format!("{header}.{payload}\0.{signature}"), Reason::BadBase64),
        row("percent encoding", format!("{header}.{payload}%2E.{signature}"), Reason::BadBase64),
        row("not ASCII", format!("{header}.{payload}é.{signature}"), Reason::BadBase64),
        row("a letter alone", format!("{header}.{payload}.a"), Reason::BadBase64),
        row("bits left over", format!("{header}.{payload}.{loose}"), Reason::BadBase64),
        row("header is text", signed("\"x\"", &said), Reason::BadHeader),
        row("header is an array", signed("[]", &said), Reason::BadHeader),
        row("header is no JSON", signed("alg=RS256", &said), Reason::BadHeader),
        row("two headers", signed(&format!("{head}{head}"), &said), Reason::BadHeader),
        row("empty header part", format!(".{payload}.{signature}"), Reason::BadHeader),
        row("empty payload part", format!("{header}..{signature}"), Reason::BadClaims),
        row("payload is null", signed(&head, "null"), Reason::BadClaims),
        row("payload in an array", signed(&head, &format!("[{said}]")), Reason::BadClaims),
        row("data after it", signed(&head, &format!("{said} x")), Reason::BadClaims),
        row("two payloads", signed(&head, &format!("{said}{said}")), Reason::BadClaims),
        row("a comment", signed(&head, &format!("{said}//")), Reason::BadClaims),
        row("a byte order mark", signed(&head, &format!("\u{feff}{said}")), Reason::BadClaims),
        row("not UTF-8", not_utf8(), Reason::BadClaims),
        row("NaN", signed(&head, &repeated("x", "NaN")), Reason::BadClaims),
        row("1e400 somewhere", signed(&head, &repeated("x", "[1e400]")), Reason::BadClaims),
        row("alg twice", signed(r#"{"alg":"none","alg":"RS256"}"#, &said), Reason::DuplicateName),
        row("sub twice", signed(&head, &repeated("sub", "\"root\"")), Reason::DuplicateName),
        row("sub escaped", signed(&head, &repeated("s\\u0075b", "\"r\"")), Reason::DuplicateName),
        row("exp twice", signed(&head, &repeated("exp", "9e9")), Reason::DuplicateName),
        row(
            "twice inside",
            signed(&head, &repeated("x", r#"{"a":1,"a":1}"#)),
            Reason::DuplicateName,
        ),
        row("deep", signed(&head, &deep), Reason::TooDeep),
        row("2000 deep", signed(&head, &"[".repeat(2000)), Reason::TooDeep),
        row(
            "2000 deep in a claim",
            signed(&head, &format!("{{\"x\":{}", "[".repeat(2000))),
            Reason::TooDeep,
        ),
        row(
            "deep header",
            signed(&with(&self::header(), "x", nested(20)).to_string(), &said),
            Reason::TooDeep,
        ),
    ]
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inside, _| json!([inside]))
}

fn not_utf8() -> String {
    let [header, _, _] = split(&good());
    format!("{header}.{}.AAAA", encoded(b"{\"sub\":\"\xff\"}"))
}

/// Headers, well signed.
fn headers() -> Vec<Row> {
    let signed = |header: &Value| PAIRS.rsa.token(header, &claims());
    let set = |name: &str, value: Value| signed(&with(&header(), name, value));
    let mut rows = vec![
        row("no alg", signed(&without(&header(), "alg")), Reason::Unsigned),
        row("alg is a number", set("alg", json!(5)), Reason::BadHeader),
        row("alg is null", set("alg", Value::Null), Reason::BadHeader),
        row("alg is an array", set("alg", json!(["RS256"])), Reason::BadHeader),
        row("alg in lower case", set("alg", json!("rs256")), Reason::AlgorithmNotAllowed),
        row("alg with a space", set("alg", json!("RS256 ")), Reason::AlgorithmNotAllowed),
        row("empty alg", set("alg", json!("")), Reason::AlgorithmNotAllowed),
        row("an algorithm of no policy", set("alg", json!("PS512")), Reason::AlgorithmNotAllowed),
        row("an algorithm not here", set("alg", json!("ES512")), Reason::AlgorithmNotAllowed),
        row("ES256K", set("alg", json!("ES256K")), Reason::AlgorithmNotAllowed),
        row("RSA-OAEP", set("alg", json!("RSA-OAEP")), Reason::AlgorithmNotAllowed),
        row("crit", set("crit", json!(["exp"])), Reason::CriticalHeader),
        row("crit of nothing", set("crit", json!([])), Reason::CriticalHeader),
        row("crit null", set("crit", Value::Null), Reason::CriticalHeader),
        row("b64 false", set("b64", json!(false)), Reason::CriticalHeader),
        row("b64 true", set("b64", json!(true)), Reason::CriticalHeader),
        row("kid is a number", set("kid", json!(1)), Reason::BadHeader),
        row("kid is null", set("kid", Value::Null), Reason::BadHeader),
        row("kid is an object", set("kid", json!({"rsa": 1})), Reason::BadHeader),
        row("typ is a number", set("typ", json!(1)), Reason::BadHeader),
    ];
    for alg in ["none", "None", "NONE", "nOnE"] {
        let head = json!({"alg": alg, "kid": "rsa"});
        let [header, payload, signature] = split(&signed(&head));
        rows.push(row(alg, format!("{header}.{payload}."), Reason::Unsigned));
        rows.push(row(alg, format!("{header}.{payload}.{signature}"), Reason::Unsigned));
    }
    for typ in ["logout+jwt", "id_token", "dpop+jwt", "JOSE", "", "JWT ", "xapplication/jwt"] {
        rows.push(row(typ, set("typ", json!(typ)), Reason::WrongType));
    }
    rows
}

/// Whose key it is.
fn keys() -> Vec<Row> {
    let kid =
        |pair: &Pair, alg: &str, kid: &str| pair.token(&json!({"alg": alg, "kid": kid}), &claims());
    let embedded = json!({"alg": "RS256", "kid": "mine", "jwk": PAIRS.stranger.named("mine")});
    let overriding = json!({"alg": "RS256", "kid": "rsa", "jwk": PAIRS.stranger.named("rsa")});
    let jku = json!({"alg": "RS256", "kid": "rsa", "jku": "https://evil.example/jwks"});
    let hmac = |alg: &str, secret: &[u8]| {
        let head = json!({"alg": alg, "kid": "rsa"}).to_string();
        let signed =
            format!("{}.{}", encoded(head.as_bytes()), encoded(claims().to_string().as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", encoded(tag.as_ref()))
    };
    let der = PAIRS.rsa.public_der();
    let jwk = PAIRS.rsa.jwk();
    vec![
        row("HMAC with the public key", hmac("HS256", &der), Reason::AlgorithmNotAllowed),
        row(
            "HMAC with the modulus",
            hmac("HS256", &decoded(jwk["n"].as_str().unwrap())),
            Reason::AlgorithmNotAllowed,
        ),
        row(
            "HMAC with the JWK",
            hmac("HS256", jwk.to_string().as_bytes()),
            Reason::AlgorithmNotAllowed,
        ),
        row("HMAC called RS256", hmac("RS256", &der), Reason::BadSignature),
        row("HMAC called HS512", hmac("HS512", &der), Reason::AlgorithmNotAllowed),
        row("an embedded key", PAIRS.stranger.token(&embedded, &claims()), Reason::UnknownKey),
        row(
            "an embedded key of our name",
            PAIRS.stranger.token(&overriding, &claims()),
            Reason::BadSignature,
        ),
        row("a jku", PAIRS.stranger.token(&jku, &claims()), Reason::BadSignature),
        row("an unknown kid", kid(&PAIRS.rsa, "RS256", "other"), Reason::UnknownKey),
        row("a kid in other case", kid(&PAIRS.rsa, "RS256", "RSA"), Reason::UnknownKey),
        row("an empty kid", kid(&PAIRS.rsa, "RS256", ""), Reason::UnknownKey),
        row("a kid that is a path", kid(&PAIRS.rsa, "RS256", "../../dev/null"), Reason::UnknownKey),
        row("another key's kid", kid(&PAIRS.rsa, "RS256", "p256"), Reason::AlgorithmNotAllowed),
        row("EC kid, EC alg, RSA key", kid(&PAIRS.rsa, "ES256", "p256"), Reason::BadSignature),
        row("the wrong curve", kid(&PAIRS.p384, "ES384", "p256"), Reason::AlgorithmNotAllowed),
        row("the wrong curve's alg", kid(&PAIRS.p384, "ES256", "p256"), Reason::BadSignature),
        row("RSA key as EdDSA", kid(&PAIRS.edwards, "EdDSA", "rsa"), Reason::AlgorithmNotAllowed),
        row("a stranger's key", kid(&PAIRS.stranger, "RS256", "rsa"), Reason::BadSignature),
        row(
            "a stranger without kid",
            PAIRS.stranger.token(&json!({"alg": "RS256"}), &claims()),
            Reason::BadSignature,
        ),
        row(
            "a stranger's token that has also expired",
            PAIRS.stranger.token(&header(), &with(&claims(), "exp", json!(1))),
            Reason::BadSignature,
        ),
    ]
}

/// What stands in the third part.
fn signatures() -> Vec<Row> {
    let [header, payload, signature] = split(&good());
    let signature = decoded(&signature);
    let forged = |signature: &[u8]| format!("{header}.{payload}.{}", encoded(signature));
    let elliptic = PAIRS.p256.token(&json!({"alg": "ES256", "kid": "p256"}), &claims());
    let [elliptic_header, elliptic_payload, fixed] = split(&elliptic);
    let fixed = decoded(&fixed);
    let curve =
        |signature: &[u8]| format!("{elliptic_header}.{elliptic_payload}.{}", encoded(signature));
    let other = split(&PAIRS.rsa.token(&self::header(), &with(&claims(), "sub", json!("bob"))));
    let edwards = PAIRS.edwards.token(&json!({"alg": "EdDSA", "kid": "edwards"}), &claims());
    let [edwards_header, edwards_payload, _] = split(&edwards);
    let zeros = encoded(&[0; 64]);
    vec![
        row("stripped", forged(b""), Reason::BadSignature),
        row("a byte short", forged(&signature[1..]), Reason::BadSignature),
        row("a byte long", forged(&[&[0], signature.as_slice()].concat()), Reason::BadSignature),
        row("zeros", forged(&[0; 256]), Reason::BadSignature),
        row("all ones", forged(&[0xff; 256]), Reason::BadSignature),
        row("the number one", forged(&[&[0; 255][..], &[1]].concat()), Reason::BadSignature),
        row("another token's", format!("{header}.{payload}.{}", other[2]), Reason::BadSignature),
        row(
            "another payload",
            format!("{header}.{}.{}", other[1], encoded(&signature)),
            Reason::BadSignature,
        ),
        row(
            "parts changed about",
            format!("{payload}.{header}.{}", encoded(&signature)),
            Reason::Unsigned,
        ),
        row("PS256 called RS256", relabelled("PS256", "RS256"), Reason::BadSignature),
        row("RS256 called PS256", relabelled("RS256", "PS256"), Reason::BadSignature),
        row("RS256 called RS512", relabelled("RS256", "RS512"), Reason::BadSignature),
        row("ECDSA in DER", curve(&der(&fixed)), Reason::BadSignature),
        row("ECDSA of zeros", curve(&[0; 64]), Reason::BadSignature),
        row("ECDSA with r zero", curve(&[&[0; 32], &fixed[32..]].concat()), Reason::BadSignature),
        row("ECDSA with s zero", curve(&[&fixed[..32], &[0; 32]].concat()), Reason::BadSignature),
        row("ECDSA of the order", curve(&[ORDER, ORDER].concat()), Reason::BadSignature),
        row("ECDSA half", curve(&fixed[..32]), Reason::BadSignature),
        row("ECDSA twice", curve(&[fixed.as_slice(), &fixed].concat()), Reason::BadSignature),
        row(
            "ECDSA with a zero before",
            curve(&[&[0], fixed.as_slice()].concat()),
            Reason::BadSignature,
        ),
        row("ECDSA of P-384 length", curve(&[0; 96]), Reason::BadSignature),
        row(
            "EdDSA of zeros",
            format!("{edwards_header}.{edwards_payload}.{zeros}"),
            Reason::BadSignature,
        ),
    ]
}

/// The order of P-256's group.
const ORDER: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Signed with one algorithm, the header naming another.
fn relabelled(signed_with: &str, named: &str) -> String {
    let head = with(&header(), "alg", json!(named)).to_string();
    let signed =
        format!("{}.{}", encoded(head.as_bytes()), encoded(claims().to_string().as_bytes()));
    format!("{signed}.{}", encoded(&PAIRS.rsa.sign(signed_with, signed.as_bytes())))
}

/// The same signature as X.509 writes it.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let skipped = number.iter().position(|byte| *byte != 0).unwrap();
        let sign = usize::from(number[skipped] >= 0x80);
        let number = [&[0][..sign], &number[skipped..]].concat();
        [&[2, u8::try_from(number.len()).unwrap()], number.as_slice()].concat()
    };
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}

fn claimed(name: &str, value: Value) -> String {
    PAIRS.rsa.token(&header(), &with(&claims(), name, value))
}

/// Claims that are dates.
fn dates() -> Vec<Row> {
    let lacking = |name: &str| PAIRS.rsa.token(&header(), &without(&claims(), name));
    let raw = |name: &str, value: &str| {
        let said = without(&claims(), name).to_string();
        let said = said.replacen('{', &format!("{{\"{name}\":{value},"), 1);
        PAIRS.rsa.token_of(&header().to_string(), &said)
    };
    let mut rows = vec![
        row("no exp", lacking("exp"), Reason::MissingClaim),
        row("expired", claimed("exp", json!(NOW - 31)), Reason::Expired),
        row("expired at 0", claimed("exp", json!(0)), Reason::Expired),
        row("expired at 1.5", claimed("exp", json!(1.5)), Reason::Expired),
        row(
            "exp for a century",
            claimed("exp", json!(NOW + 3_153_600_000)),
            Reason::LifetimeTooLong,
        ),
        row(
            "exp in milliseconds",
            claimed("exp", json!((NOW + 60) * 1000)),
            Reason::LifetimeTooLong,
        ),
        row("exp 1e400", raw("exp", "1e400"), Reason::BadClaims),
        row("exp -1e400", raw("exp", "-1e400"), Reason::BadClaims),
        row("exp with a plus", raw("exp", "+1800000300"), Reason::BadClaims),
        row("exp in hexadecimal", raw("exp", "0x7fffffff"), Reason::BadClaims),
        row("exp 1e300", raw("exp", "1e300"), Reason::BadClaims),
        row("exp of 2^64", raw("exp", "18446744073709551616"), Reason::BadClaims),
        row("exp of 400 digits", raw("exp", &"9".repeat(400)), Reason::BadClaims),
        row("exp is the largest number", claimed("exp", json!(u64::MAX)), Reason::BadClaims),
        row("nbf to come", claimed("nbf", json!(NOW + 31)), Reason::NotYetValid),
        row("nbf 1e400", raw("nbf", "1e400"), Reason::BadClaims),
        row("iat to come", claimed("iat", json!(NOW + 31)), Reason::IssuedInFuture),
        row("iat 1e400", raw("iat", "1e400"), Reason::BadClaims),
        row("issued a year ago", claimed("iat", json!(NOW - 31_536_000)), Reason::LifetimeTooLong),
    ];
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!((NOW + 60).to_string()),
            json!("2027-01-15T08:00:00Z"),
            json!(-1),
            json!(-0.5),
            json!(true),
            json!(null),
            json!([NOW + 60]),
            json!({"t": NOW + 60}),
            json!(""),
        ] {
            let token = claimed(name, value.clone());
            rows.push(row(&format!("{name} {value}"), token, Reason::BadClaims));
        }
    }
    rows
}

/// Claims that are names.
fn names() -> Vec<Row> {
    let lacking = |name: &str| PAIRS.rsa.token(&header(), &without(&claims(), name));
    let mut rows = vec![
        row("no iss", lacking("iss"), Reason::MissingClaim),
        row("no aud", lacking("aud"), Reason::MissingClaim),
        row("no sub", lacking("sub"), Reason::MissingClaim),
        row("empty sub", claimed("sub", json!("")), Reason::MissingClaim),
        row("no claims", PAIRS.rsa.token_of(&header().to_string(), "{}"), Reason::MissingClaim),
        row(
            "too many groups",
            claimed("groups", (0..600).map(|n| json!(n.to_string())).collect()),
            Reason::BadClaims,
        ),
        row("scope is an array", claimed("scope", json!(["a"])), Reason::BadClaims),
    ];
    for (name, reason, values) in wrong_names().into_iter().chain(mistyped_names()) {
        for value in values {
            rows.push(row(&format!("{name} {value}"), claimed(name, value), reason));
        }
    }
    rows
}

/// A claim, why it is refused, and the values that are.
type Wrong = (&'static str, Reason, Vec<Value>);

fn wrong_names() -> Vec<Wrong> {
    vec![
        (
            "iss",
            Reason::UnknownIssuer,
            vec![
                json!(format!("{ISSUER}/")),
                json!(ISSUER.to_uppercase()),
                json!(format!(" {ISSUER}")),
                json!(ISSUER.replace("https", "http")),
                json!("https://id.example.com"),
                json!(""),
                json!(ISSUER.replace(".com", ".com:443")),
                json!(format!("{ISSUER}\0")),
                json!(ISSUER.replace("id.", "\u{456}d.")),
            ],
        ),
        (
            "aud",
            Reason::WrongAudience,
            vec![
                json!(format!("{AUDIENCE}/")),
                json!(AUDIENCE.to_uppercase()),
                json!("https://mcp.example.com"),
                json!(format!("{AUDIENCE}2")),
                json!(format!("x {AUDIENCE}")),
                json!(""),
                json!([]),
                json!(["a", "b"]),
                json!(format!("{AUDIENCE} other")),
                json!(AUDIENCE.replace("https", "http")),
                json!("*"),
                json!(format!("{AUDIENCE}?")),
                json!(format!("{AUDIENCE}#")),
                json!([format!("{AUDIENCE}/")]),
            ],
        ),
    ]
}

fn mistyped_names() -> Vec<Wrong> {
    vec![
        (
            "iss",
            Reason::BadClaims,
            vec![json!([ISSUER]), json!(5), json!(null), json!({"a": ISSUER})],
        ),
        (
            "aud",
            Reason::BadClaims,
            vec![
                json!(5),
                json!(null),
                json!({"0": AUDIENCE}),
                json!([AUDIENCE, 5]),
                json!([[AUDIENCE]]),
                json!(true),
            ],
        ),
        (
            "sub",
            Reason::BadClaims,
            vec![json!(5), json!(null), json!(["alice"]), json!({"a": "alice"})],
        ),
        ("scope", Reason::BadClaims, vec![json!(5), json!({}), json!(null)]),
        ("scp", Reason::BadClaims, vec![json!(5), json!(["a", 5])]),
        ("groups", Reason::BadClaims, vec![json!(5), json!({"admin": true}), json!(["a", null])]),
        ("client_id", Reason::BadClaims, vec![json!(5), json!(["app"])]),
        ("azp", Reason::BadClaims, vec![json!(5), json!(null)]),
    ]
}
