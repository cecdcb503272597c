//! Secrets that say themselves what they are, and secrets in files.

use std::{fs, ops::Range, path::Path};

use e2e::{
    canary::Canaries,
    minter::{Key, Kind, claims_with, encode, token_with},
    tls::{Authority, Leaf},
};
use serde_json::{Value, json};

/// A file that holds a word.
pub(super) fn filed(files: &Path, canaries: &Canaries, place: &str) -> String {
    written(files, place, &canaries.word(place))
}

/// A file that holds a secret that is long enough for a key.
pub(super) fn filed_key(files: &Path, canaries: &Canaries, place: &str) -> String {
    written(files, place, &long(canaries, place))
}

fn written(files: &Path, place: &str, secret: &str) -> String {
    let path = files.join(place.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    fs::write(&path, format!("{secret}\n")).expect("the folder is writable");
    path.display().to_string()
}

/// A secret that is long enough for a key.
pub(super) fn long(canaries: &Canaries, place: &str) -> String {
    [canaries.word(place), canaries.word(&format!("{place}, its second half"))].concat()
}

/// Settings of TLS with a certificate of this authority. The private key is among the secrets.
pub(super) fn tls(canaries: &Canaries, place: &str, authority: &Authority) -> Value {
    let Leaf { certificate, key } = authority.issue();
    let pem = fs::read_to_string(&key).expect("the key of a certificate");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    canaries.plant(&format!("{place}: private key"), &body[PRIVATE]);
    json!({ "ca_file": authority.certificate(), "cert_file": certificate, "key_file": key })
}

/// Where base64 has the private number of a P-256 key alone: 32 bytes after 36 of PKCS #8, and the public key follows.
const PRIVATE: Range<usize> = 48..88;

/// A good token of this subject; neither what it says nor its signature may be found.
pub(super) fn good_token(canaries: &Canaries, place: &str) -> String {
    let token = token_with(json!({
        "sub": canaries.word(&format!("{place}: subject")),
        "jti": canaries.word(&format!("{place}: jti")),
        "client_id": canaries.word(&format!("{place}: client id")),
        "groups": [canaries.word(&format!("{place}: group"))],
        "email": canaries.word(&format!("{place}: another claim")),
    }));
    plant_token(canaries, place, &token);
    token
}

/// Tokens that are refused, each for another reason.
pub(super) fn bad_tokens(canaries: &Canaries) -> Vec<(&'static str, String)> {
    let key = Key::new(Kind::Ed25519, &canaries.word("unknown key: kid"));
    let claims = |what: &str, name: &str| json!({ name: canaries.word(&format!("token with {what}: {name}")), "sub": canaries.word(&format!("token with {what}: sub")) });
    let good = token_with(claims("a broken signature", "jti"));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let header = |value| encode(json!(value).to_string());
    let none = header(json!({ "alg": "none", "kid": canaries.word("unsigned: kid") }));
    let tokens = vec![
        ("an unknown key", key.token(&claims_with(&claims("an unknown key", "jti")))),
        ("a foreign issuer", token_with(claims("a foreign issuer", "iss"))),
        ("a foreign audience", token_with(claims("a foreign audience", "aud"))),
        ("a broken signature", format!("{signed}.{}", encode(canaries.word("broken signature")))),
        ("an end in the past", {
            let mut claims = claims("an end in the past", "jti");
            claims["exp"] = json!(1);
            token_with(claims)
        }),
        ("no signature", format!("{none}.{}.", encode(claims("no signature", "sub").to_string()))),
        ("nothing of a token", canaries.word("token that is none")),
        ("three parts of garbage", {
            let part = canaries.word("token of garbage");
            format!("{part}.{part}.{part}")
        }),
    ];
    for (what, token) in &tokens {
        plant_token(canaries, &format!("token with {what}"), token);
    }
    tokens
}

/// What is said and how it is sealed; the header alone is like those of others.
fn plant_token(canaries: &Canaries, place: &str, token: &str) {
    if let Some((_, signature)) = token.rsplit_once('.')
        && signature.len() > 20
    {
        canaries.plant(&format!("{place}: signature"), signature);
    }
}

/// Every kind of secret that detectors know, each with its name.
pub(super) fn detectable(canaries: &Canaries, place: &str) -> Vec<String> {
    let random = |what: &str| canaries.random(&format!("{place}: {what}"));
    vec![
        random("what looks random"),
        good_token(canaries, place),
        format!("glpat-{}", &random("key of a known maker")[..24]),
        format!("Bearer {}", canaries.word(&format!("{place}: bearer"))),
        format!("password={}", canaries.word(&format!("{place}: password"))),
        format!("https://user:{}@host/", canaries.word(&format!("{place}: password of a URL"))),
        format!("{}@mail.example", canaries.word(&format!("{place}: e-mail"))),
        card(canaries, place),
        format!(
            "-----BEGIN PRIVATE KEY-----\\n{}\\n{}\\n-----END PRIVATE KEY-----",
            canaries.word(&format!("{place}: private key")),
            canaries.word(&format!("{place}: private key, its second line")),
        ),
    ]
}

/// The number of a card, with its check digit.
fn card(canaries: &Canaries, place: &str) -> String {
    let place = format!("{place}: card");
    let mut seed = canaries.random(&place).bytes().map(u32::from).collect::<Vec<_>>();
    seed.truncate(14);
    let mut digits = vec![4];
    digits
        .extend(seed.iter().enumerate().map(|(at, byte)| (byte + u32::try_from(at).unwrap()) % 10));
    let doubled = |(at, digit): (usize, &u32)| match (at % 2, digit * 2) {
        (1, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    let sum: u32 = digits.iter().enumerate().map(doubled).sum();
    digits.push((10 - sum % 10) % 10);
    let number: String = digits.iter().map(u32::to_string).collect();
    canaries.plant(&format!("{place}, its number"), &number);
    number
}
