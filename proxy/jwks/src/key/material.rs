//! The public members of a key, checked when it is loaded and not first when it is used.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::{Kind, RSA_BITS_MAX, RSA_BITS_MIN, RejectedReason};
use crate::strict;

/// Longest RSA exponent, in bits: what the library below takes. Real ones have 17.
const EXPONENT_BITS_MAX: usize = 33;

/// A key's public members.
pub(super) struct Material {
    pub(super) kind: Kind,
    pub(super) decoding: DecodingKey,
    /// All of them in one row, to tell keys apart.
    pub(super) public: Vec<u8>,
}

impl Material {
    /// Reads the members that keys of this `kty` have. Spec: RFC 7518 §6, RFC 8037 §2.
    pub(super) fn of(kty: &str, jwk: &Map<String, Value>) -> Result<Self, RejectedReason> {
        match kty {
            "RSA" => rsa(jwk),
            "EC" => match curve(jwk)? {
                "P-256" => elliptic(jwk, Kind::P256, &ECDSA_P256_SHA256_FIXED),
                "P-384" => elliptic(jwk, Kind::P384, &ECDSA_P384_SHA384_FIXED),
                _ => Err(RejectedReason::UnknownCurve),
            },
            "OKP" => match curve(jwk)? {
                "Ed25519" => edwards(jwk),
                _ => Err(RejectedReason::UnknownCurve),
            },
            _ => Err(RejectedReason::UnknownType),
        }
    }
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, RejectedReason> {
    let modulus = bytes(jwk, "n")?;
    let exponent = bytes(jwk, "e")?;
    let modulus_bits = bits(&modulus)?;
    if modulus_bits < RSA_BITS_MIN {
        return Err(RejectedReason::RsaTooShort);
    }
    if modulus_bits > RSA_BITS_MAX {
        return Err(RejectedReason::RsaTooLong);
    }
    // The product of two odd primes.
    if !is_odd(&modulus) {
        return Err(RejectedReason::Malformed);
    }
    let exponent_bits = bits(&exponent)?;
    // Odd and of two bits or more: 3 at least. With 1, every message would be its own signature.
    if !is_odd(&exponent) || !(2..=EXPONENT_BITS_MAX).contains(&exponent_bits) {
        return Err(RejectedReason::BadExponent);
    }
    let decoding = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    // Both begin with a byte that is not zero; the length of the first makes the row unambiguous.
    let mut public = modulus.len().to_be_bytes().to_vec();
    public.extend(modulus);
    public.extend(exponent);
    Ok(Material { kind: Kind::Rsa, decoding, public })
}

fn elliptic(
    jwk: &Map<String, Value>,
    kind: Kind,
    algorithm: &'static EcdsaVerificationAlgorithm,
) -> Result<Material, RejectedReason> {
    let length = match kind {
        Kind::P384 => 48,
        Kind::P256 | Kind::Rsa | Kind::Ed25519 => 32,
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(RejectedReason::Malformed);
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    // A point off the curve would make the arithmetic that follows mean something else.
    if ParsedPublicKey::new(algorithm, &point).is_err() {
        return Err(RejectedReason::NotOnCurve);
    }
    Ok(Material { kind, decoding: DecodingKey::from_ec_der(&point), public: point })
}

fn edwards(jwk: &Map<String, Value>) -> Result<Material, RejectedReason> {
    let point = bytes(jwk, "x")?;
    if point.len() != 32 {
        return Err(RejectedReason::Malformed);
    }
    Ok(Material { kind: Kind::Ed25519, decoding: DecodingKey::from_ed_der(&point), public: point })
}

fn curve(jwk: &Map<String, Value>) -> Result<&str, RejectedReason> {
    jwk.get("crv").and_then(Value::as_str).ok_or(RejectedReason::Malformed)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, RejectedReason> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(RejectedReason::Malformed)?;
    strict::base64url(text).ok_or(RejectedReason::Malformed)
}

/// Length of a number in bits. One that is zero, or begins with a zero byte, is not written as it must be.
/// Spec: RFC 7518 §2, `Base64urlUInt`.
fn bits(number: &[u8]) -> Result<usize, RejectedReason> {
    match number.first() {
        None | Some(0) => Err(RejectedReason::Malformed),
        Some(first) => {
            let unused = first.leading_zeros().try_into().unwrap_or(8_usize);
            Ok(number.len() * 8 - unused)
        }
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}
