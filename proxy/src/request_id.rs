//! The id under which a request stands in logs and answers.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::hex;

/// `X-Request-Id`.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken from a client, in bytes. A UUID is 36, a W3C trace id 32.
const BYTES_MAX: usize = 64;

/// The id of one request: a client's own if well formed, else one of ours.
///
/// 1 to 64 of `a-z A-Z 0-9 . _ - ~ : / + =`, so that it can stand in a log line, a header and a URL.
#[derive(Debug, Clone)]
pub struct RequestId {
    value: HeaderValue,
    is_ours: bool,
}

impl RequestId {
    /// The client's id if there is exactly one and it is well formed.
    #[must_use]
    pub fn of_client(headers: &HeaderMap) -> Option<Self> {
        let mut ids = headers.get_all(HEADER).iter();
        let (Some(id), None) = (ids.next(), ids.next()) else { return None };
        is_well_formed(id.as_bytes()).then(|| Self { value: id.clone(), is_ours: false })
    }

    /// The id that another replica gave the request, if it is well formed.
    #[must_use]
    pub fn of_replica(id: &str) -> Option<Self> {
        let value = || HeaderValue::from_str(id).ok();
        let value = is_well_formed(id.as_bytes()).then(value).flatten()?;
        Some(Self { value, is_ours: false })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.value.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    #[must_use]
    pub const fn as_value(&self) -> &HeaderValue {
        &self.value
    }

    /// Whether this process made it: 32 hexadecimal digits, in which nothing can be hidden.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.is_ours
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-~:/+=".contains(byte);
    !id.is_empty() && id.len() <= BYTES_MAX && id.iter().all(good)
}

/// Makes ids that are unique in this process and, but for chance, among all.
///
/// They name requests and guard nothing, so they need to be unique and cheap, not secret: 64 bits drawn
/// once for the process, then a counter.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Draws the part that tells this process from others.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { process: getrandom::u64()?, next: AtomicU64::new(1) })
    }

    /// Makes the next id: 32 hexadecimal digits.
    pub fn next(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let both = (u128::from(self.process) << 64) | u128::from(count);
        let mut digits = [0; 32];
        hex::write(&both.to_be_bytes(), &mut digits);
        let value = HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("none"));
        RequestId { value, is_ours: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hexadecimal_digits_and_differ() {
        let ids = RequestIds::new().unwrap();
        let (a, b) = (ids.next(), ids.next());
        assert_ne!(a.as_str(), b.as_str());
        assert_eq!(a.as_str().len(), 32);
        assert!(a.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(a.is_ours());
        assert!(a.as_str().ends_with('1') && b.as_str().ends_with('2'));
    }

    #[test]
    fn a_clients_id_is_taken_only_if_it_is_one_and_well_formed() {
        let taken = |values: &[&'static str]| {
            let headers = values.iter().map(|value| (HEADER, HeaderValue::from_static(value)));
            RequestId::of_client(&headers.collect())
        };
        assert_eq!(taken(&["4bf92f35-77b3"]).unwrap().as_str(), "4bf92f35-77b3");
        assert!(!taken(&["00ff"]).unwrap().is_ours());
        assert!(!RequestId::of_replica("00ff").unwrap().is_ours());
        assert!(taken(&[]).is_none());
        assert!(taken(&["a", "b"]).is_none());
        assert!(taken(&["a b"]).is_none());
        assert!(taken(&["a\"b"]).is_none());
        assert!(taken(&[""]).is_none());
    }
}
