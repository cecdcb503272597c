//! What is no token at all: parts, base64, JSON.

use e2e::minter::{encode, keys};
use serde_json::json;

use super::{Hostile, good_claims, hostile};

/// Three parts out of raw bytes, with a signature that fits.
fn of_bytes(header: &[u8], claims: &[u8]) -> String {
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = keys().p256.sign("ES256", &input);
    format!("{input}.{}", encode(signature))
}

/// A token of encoded parts, with a signature that fits them as they stand.
fn of_parts(header: &str, claims: &str) -> String {
    let input = format!("{header}.{claims}");
    let signature = keys().p256.sign("ES256", &input);
    format!("{input}.{}", encode(signature))
}

fn good() -> (String, String) {
    (keys().p256.header().to_string(), good_claims().to_string())
}

pub(super) fn table() -> Vec<Hostile> {
    [parts(), base64(), json_text(), nesting(), duplicates()].into_iter().flatten().collect()
}

fn parts() -> Vec<Hostile> {
    let (header, claims) = good();
    let token = keys().p256.sealed(&header, &claims);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let jwe = json!({ "alg": "RSA-OAEP", "enc": "A256GCM" }).to_string();
    vec![
        hostile("one part", "not_three_parts", encode("token")),
        hostile("the signature cut off with its dot", "not_three_parts", input.to_owned()),
        hostile("a dot after the end", "not_three_parts", format!("{token}.")),
        hostile("a dot before the start", "not_three_parts", format!(".{token}")),
        hostile("two dots between parts", "not_three_parts", token.replacen('.', "..", 1)),
        hostile("a fourth part", "not_three_parts", format!("{token}.{signature}")),
        hostile("six parts", "not_three_parts", format!("{token}.{token}")),
        hostile("a JWE", "encrypted", format!("{}.a.b.c.d", encode(jwe))),
        hostile("dots alone", "encrypted", "....".to_owned()),
        hostile("longer than 8 KiB", "too_long", format!("{token}{}", "A".repeat(8 << 10))),
        hostile(
            "longer than 8 KiB with a signature that fits",
            "too_long",
            keys().p256.sealed(&header, &json!({ "x": "y".repeat(8 << 10) }).to_string()),
        ),
    ]
}

fn base64() -> Vec<Hostile> {
    let (header, claims) = good();
    let token = keys().p256.sealed(&header, &claims);
    // A text whose length is not a multiple of three has bits to spare in its last letter.
    let spare = encode(format!("{header}{}", " ".repeat((4 - header.len() % 3) % 3)));
    let last = spare.chars().last().unwrap();
    let other = if last == 'A' { 'B' } else { char::from(u8::try_from(last).unwrap() + 1) };
    let not_canonical = format!("{}{other}", spare.strip_suffix(last).unwrap());
    vec![
        hostile("a letter that base64 has not", "bad_base64", of_parts("!!!!", &encode(&claims))),
        hostile("padding after the header", "bad_base64", {
            let padded =
                format!("{}=", encode(format!("{header}{}", " ".repeat(5 - header.len() % 3))));
            of_parts(&padded, &encode(&claims))
        }),
        hostile("padding after the signature", "bad_base64", format!("{token}==")),
        hostile("the alphabet of plain base64", "bad_base64", of_parts(&encode(&header), "+/+/")),
        hostile(
            "a length that base64 cannot have",
            "bad_base64",
            of_parts(&encode(&header), &format!("{}A", encode("123456"))),
        ),
        hostile(
            "bits to spare that are set",
            "bad_base64",
            of_parts(&not_canonical, &encode(claims)),
        ),
    ]
}

fn json_text() -> Vec<Hostile> {
    let (header, claims) = good();
    let bad_header = |name, header: &str| {
        hostile(name, "bad_header", of_bytes(header.as_bytes(), claims.as_bytes()))
    };
    let bad_claims =
        |name, claims: &[u8]| hostile(name, "bad_claims", of_bytes(header.as_bytes(), claims));
    vec![
        bad_header("an empty header", ""),
        bad_header("a header that is an array", "[]"),
        bad_header("a header that is a string", "\"ES256\""),
        bad_header("a header cut off", header.strip_suffix('}').unwrap()),
        bad_header("data after the header", &format!("{header}{{}}")),
        bad_header("a mark of byte order", &format!("\u{feff}{header}")),
        bad_claims("an empty payload", b""),
        bad_claims("a payload that is an array", b"[]"),
        bad_claims("a payload that is null", b"null"),
        bad_claims("a payload that is no JSON", b"sub=alice"),
        bad_claims("data after the payload", format!("{claims}x").as_bytes()),
        bad_claims("a payload that is not UTF-8", b"{\"sub\":\"\xff\xfe\"}"),
        bad_claims("half of a surrogate pair", br#"{"sub":"\ud800"}"#),
        bad_claims("a comment in the payload", claims.replacen('{', "{/**/", 1).as_bytes()),
        bad_claims("a comma after the last claim", claims.replace('}', ",}").as_bytes()),
    ]
}

fn nesting() -> Vec<Hostile> {
    let (header, claims) = good();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let inserted =
        |text: &str, depth| text.replacen('{', &format!("{{\"deep\":{},", deep(depth)), 1);
    let objects = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    vec![
        hostile(
            "arrays 200 deep in the payload",
            "too_deep",
            keys().p256.sealed(&header, &inserted(&claims, 200)),
        ),
        hostile(
            "arrays 200 deep in the header",
            "too_deep",
            keys().p256.sealed(&inserted(&header, 200), &claims),
        ),
        hostile(
            "objects 100 deep in the payload",
            "too_deep",
            keys()
                .p256
                .sealed(&header, &claims.replacen('{', &format!("{{\"deep\":{objects},"), 1)),
        ),
    ]
}

fn duplicates() -> Vec<Hostile> {
    let (header, claims) = good();
    let twice =
        |claim: &str| keys().p256.sealed(&header, &claims.replacen('{', &format!("{{{claim},"), 1));
    let header_twice = |member: &str| {
        keys().p256.sealed(&header.replacen('{', &format!("{{{member},"), 1), &claims)
    };
    vec![
        hostile("`sub` twice", "duplicate_name", twice(r#""sub":"mallory""#)),
        hostile("`exp` twice", "duplicate_name", twice(r#""exp":1"#)),
        hostile("`aud` twice", "duplicate_name", twice(r#""aud":"other""#)),
        hostile("a claim of one's own twice", "duplicate_name", twice(r#""t":1,"t":2"#)),
        hostile("a name twice, once escaped", "duplicate_name", twice(r#""s\u0075b":"mallory""#)),
        hostile("a name twice further inside", "duplicate_name", twice(r#""a":[{"b":1,"b":1}]"#)),
        hostile("`alg` twice", "duplicate_name", header_twice(r#""alg":"none""#)),
        hostile("`kid` twice", "duplicate_name", header_twice(r#""kid":"rsa""#)),
    ]
}
