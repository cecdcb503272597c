//! A token's parts and its header.

use serde_json::{Map, Value};

use crate::{
    algorithm::Algorithm,
    explain::{Ledger, Told},
    policy::TOKEN_BYTES_MAX,
    refused::{Reason, Refused},
    strict::{self, Fault},
};

/// A token that was read and of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    pub(crate) header: Header,
    pub(crate) claims: Map<String, Value>,
    /// What the signature is over: header and payload as they were sent.
    pub(crate) signed: &'t str,
    /// In base64url.
    pub(crate) signature: &'t str,
}

/// What of a header is used. `jku`, `jwk`, `x5u` and `x5c` are not: they would let the token bring its own key.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// The name as sent.
    pub(crate) alg: String,
    /// None for a name that does not exist here.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kid: Option<String>,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// What is wrong with its form or its header.
    pub(crate) fn read<L: Ledger>(token: &'t str, ledger: &mut L) -> Result<Self, Refused> {
        let [header, payload, signature] = match parts(token) {
            Ok(parts) => parts,
            Err(reason) => {
                let told = || Told::new(shape(token), "three parts, at most 8 KiB");
                return Err(ledger.stop("token", reason.into(), told));
            }
        };
        let members = object(header, Reason::BadHeader)
            .map_err(|reason| stop_at_part(ledger, "header", reason))?;
        let header = Header::read(&members, ledger)?;
        let claims = object(payload, Reason::BadClaims)
            .map_err(|reason| stop_at_part(ledger, "payload", reason))?;
        if strict::base64url(signature).is_none() {
            return Err(stop_at_part(ledger, "signature", Reason::BadBase64));
        }
        let signed = token
            .strip_suffix(signature)
            .and_then(|signed| signed.strip_suffix('.'))
            .ok_or(Reason::NotThreeParts)?;
        Ok(Self { header, claims, signed, signature })
    }
}

impl Header {
    fn read<L: Ledger>(members: &Map<String, Value>, ledger: &mut L) -> Result<Self, Refused> {
        let alg = ledger.take("alg", alg(members), || {
            Told::value(members.get("alg"), "the name of an asymmetric signature algorithm")
        })?;
        for name in ["crit", "b64"] {
            if let Some(found) = members.get(name) {
                let told = || Told::value(Some(found), "absent");
                ledger.take::<()>(name, Err(Reason::CriticalHeader.into()), told)?;
            }
        }
        ledger.take("typ", typ(members.get("typ")), || {
            Told::value(members.get("typ"), "absent, JWT or at+jwt")
        })?;
        let kid = ledger.take("kid", kid(members.get("kid")), || {
            Told::value(members.get("kid"), "absent, or text that names a key")
        })?;
        Ok(Self { algorithm: Algorithm::named(&alg), alg, kid })
    }
}

/// Header, payload and signature.
fn parts(token: &str) -> Result<[&str; 3], Reason> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.count()) {
        (Some(header), Some(payload), Some(signature), 0) => Ok([header, payload, signature]),
        (Some(_), Some(_), Some(_), 2) => Err(Reason::Encrypted),
        _ => Err(Reason::NotThreeParts),
    }
}

/// The JSON object that a part is; `otherwise` when it is none.
fn object(part: &str, otherwise: Reason) -> Result<Map<String, Value>, Reason> {
    let json = strict::base64url(part).ok_or(Reason::BadBase64)?;
    strict::object(&json).map_err(|fault| match fault {
        Fault::NotOneObject => otherwise,
        Fault::DuplicateName => Reason::DuplicateName,
        Fault::TooDeep => Reason::TooDeep,
    })
}

/// `none` is no algorithm, however it is spelled; libraries have been fooled by `nOnE`.
fn alg(members: &Map<String, Value>) -> Result<String, Refused> {
    match members.get("alg") {
        None => Err(Reason::Unsigned.into()),
        Some(Value::String(alg)) if alg.eq_ignore_ascii_case("none") => {
            Err(Reason::Unsigned.into())
        }
        Some(Value::String(alg)) => Ok(alg.clone()),
        Some(_) => Err(Reason::BadHeader.into()),
    }
}

/// A media type without regard to case, whose `application/` may be left out. Spec: RFC 7515 §4.1.9.
fn typ(found: Option<&Value>) -> Result<(), Refused> {
    let typ = match found {
        None => return Ok(()),
        Some(Value::String(typ)) => typ.to_ascii_lowercase(),
        Some(_) => return Err(Reason::BadHeader.into()),
    };
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(Reason::WrongType.into()),
    }
}

fn kid(found: Option<&Value>) -> Result<Option<String>, Refused> {
    match found {
        None => Ok(None),
        Some(Value::String(kid)) => Ok(Some(kid.clone())),
        Some(_) => Err(Reason::BadHeader.into()),
    }
}

fn stop_at_part<L: Ledger>(ledger: &mut L, part: &'static str, reason: Reason) -> Refused {
    let wanted = match part {
        "signature" => "base64url without padding",
        _ => "one JSON object in base64url without padding, each name once, numbers finite",
    };
    ledger.stop(part, reason.into(), || Told::new("cannot be read", wanted))
}

fn shape(token: &str) -> String {
    format!("bytes: {}, parts: {}", token.len(), token.split('.').count())
}
