//! What a receiver says to what was sent.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use http::{HeaderMap, HeaderName, StatusCode, header};

use super::protobuf::{Field, fields};

/// How a gRPC call ended.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// More of it: a `google.rpc.Status`, in base64.
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Longest text of a receiver that is shown, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Longest pause that a receiver can ask for.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// gRPC codes. Spec: <https://grpc.io/docs/guides/status-codes/>.
const INVALID_ARGUMENT: u16 = 3;
const RESOURCE_EXHAUSTED: u16 = 8;
/// Those after which the same data may be sent again: cancelled, deadline exceeded, aborted, out of range, unavailable,
/// data loss. Spec: OTLP, "Failures" of gRPC.
const RETRYABLE: [u16; 6] = [1, 4, 10, 11, 14, 15];

/// What a receiver took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// Number of entries that it says it refused, which may be any number; they are not to be sent again.
    pub rejected: u64,
    /// What it says of that, or warns of: short, and without control characters.
    pub said: Option<Box<str>>,
}

/// Why a receiver took nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No answer came.
    #[error("the receiver of OpenTelemetry data gave no answer")]
    NoAnswer(#[source] reqwest::Error),
    /// No whole answer came in time.
    #[error("the receiver of OpenTelemetry data took longer than {}", Seconds(*.0))]
    Timeout(Duration),
    /// Its answer was longer than any should be, broke off, or is none of OpenTelemetry.
    #[error("the answer of the receiver of OpenTelemetry data cannot be read")]
    BadAnswer,
    /// It answered with an HTTP status.
    #[error("the receiver of OpenTelemetry data answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// How long it wants to be left alone.
        pause: Option<Duration>,
    },
    /// It answered with a gRPC status.
    #[error("the receiver of OpenTelemetry data answered with gRPC status {code}")]
    Grpc {
        /// The status.
        code: u16,
        /// How long it wants to be left alone.
        pause: Option<Duration>,
    },
}

impl SendError {
    /// Whether the same data may be taken when it is sent again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Timeout(_) | Self::BadAnswer => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Grpc { code: RESOURCE_EXHAUSTED, pause } => pause.is_some(),
            Self::Grpc { code, .. } => RETRYABLE.contains(code),
        }
    }

    /// Whether the receiver says that the data is wrong, and not who sends it or where: it would be refused each time.
    /// A receiver that takes no protobuf (415) says nothing of the data.
    #[must_use]
    pub fn blames_data(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.as_u16(), 400 | 413),
            Self::Grpc { code, .. } => *code == INVALID_ARGUMENT,
            Self::NoAnswer(_) | Self::Timeout(_) | Self::BadAnswer => false,
        }
    }

    /// How long the receiver wants to be left alone, five minutes at most.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Status { pause, .. } | Self::Grpc { pause, .. } => {
                pause.map(|pause| pause.min(PAUSE_MAX))
            }
            Self::NoAnswer(_) | Self::Timeout(_) | Self::BadAnswer => None,
        }
    }
}

struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// Reads an answer of HTTP.
pub(super) fn of_http(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Taken, SendError> {
    if !status.is_success() {
        return Err(SendError::Status { status, pause: retry_after(headers) });
    }
    // The answer has the request's media type. Any other is that of something in between, such as a login page.
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let is_protobuf = kind.is_some_and(|kind| kind.starts_with(b"application/x-protobuf"));
    if is_protobuf || body.is_empty() { Ok(taken(body)) } else { Err(SendError::BadAnswer) }
}

/// Reads an answer of gRPC. Where there is no body its status stands in the headers.
pub(super) fn of_grpc(
    status: StatusCode,
    headers: &HeaderMap,
    (body, trailers): (&[u8], Option<&HeaderMap>),
) -> Result<Taken, SendError> {
    let ends = [trailers, Some(headers)].into_iter().flatten();
    let end = ends.into_iter().find(|end| end.contains_key(GRPC_STATUS));
    let Some(end) = end else {
        // Not gRPC at all: something in between answered.
        let pause = retry_after(headers);
        let good = status.is_success();
        return Err(if good { SendError::BadAnswer } else { SendError::Status { status, pause } });
    };
    let code = end.get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse::<u16>().ok());
    match code {
        Some(0) => Ok(body.get(5..).map_or_else(Taken::default, taken)),
        Some(code) => Err(SendError::Grpc { code, pause: retry_delay(end) }),
        None => Err(SendError::BadAnswer),
    }
}

/// `Export…ServiceResponse`: field 1 is `partial_success`, whose field 1 counts what was refused and whose field 2 says
/// why.
fn taken(response: &[u8]) -> Taken {
    let mut taken = Taken::default();
    for field in message(response, 1).into_iter().flat_map(fields) {
        match field {
            // An `int64`: less than none is none.
            (1, Field::Varint(count)) => {
                taken.rejected = u64::try_from(count.cast_signed()).unwrap_or_default();
            }
            (2, Field::Bytes(text)) => taken.said = shown(text),
            _ => {}
        }
    }
    taken
}

/// A receiver's text, as a log may show it.
fn shown(text: &[u8]) -> Option<Box<str>> {
    let text = String::from_utf8_lossy(text);
    let printed = text.chars().filter(|character| !character.is_control());
    let shown: String = printed.take(SAID_CHARS_MAX).collect();
    (!shown.is_empty()).then(|| shown.into())
}

/// `Retry-After` in seconds; the form with a date is rare and left out.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(end: &HeaderMap) -> Option<Duration> {
    let encoded = end.get(GRPC_DETAILS)?.to_str().ok()?.trim_end_matches('=');
    let status = BASE64_STANDARD_NO_PAD.decode(encoded).ok()?;
    fields(&status).find_map(|field| {
        let (3, Field::Bytes(any)) = field else { return None };
        if !message(any, 1)?.ends_with(b"google.rpc.RetryInfo") {
            return None;
        }
        let delay = message(message(any, 2)?, 1)?;
        let (mut seconds, mut nanos) = (0, 0);
        for field in fields(delay) {
            match field {
                (1, Field::Varint(value)) => seconds = value,
                (2, Field::Varint(value)) => nanos = u32::try_from(value).unwrap_or_default(),
                _ => {}
            }
        }
        Some(Duration::from_secs(seconds) + Duration::from_nanos(nanos.into()))
    })
}

/// The bytes of a field.
fn message(of: &[u8], number: u32) -> Option<&[u8]> {
    fields(of).find_map(|field| match field {
        (found, Field::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::protobuf::Message, *};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    fn partial(rejected: u64) -> Vec<u8> {
        let mut body = Vec::new();
        Message(&mut body).nested(1, |partial| {
            partial.uint(1, rejected);
            partial.text(2, "why");
        });
        body
    }

    #[test]
    fn what_was_refused_of_a_request_is_counted() {
        let protobuf = headers(&[("content-type", "application/x-protobuf")]);
        let taken = |body: &[u8]| of_http(StatusCode::OK, &protobuf, body).unwrap().rejected;
        assert_eq!(taken(&partial(3)), 3);
        assert_eq!(taken(&[]), 0);
        assert_eq!(taken(b"\x0a\x55broken"), 0);
        assert_eq!(taken(&partial((-1_i64).cast_unsigned())), 0);
        let framed = [&b"\0\0\0\0\x07"[..], &partial(2)].concat();
        let ends = headers(&[("grpc-status", "0")]);
        let taken = of_grpc(StatusCode::OK, &HeaderMap::new(), (&framed, Some(&ends)));
        assert_eq!(taken.unwrap().rejected, 2);
    }

    #[test]
    fn what_a_receiver_says_is_cut_to_what_a_log_may_show() {
        let said = |text: &str| {
            let mut body = Vec::new();
            Message(&mut body).nested(1, |partial| partial.text(2, text));
            let protobuf = headers(&[("content-type", "application/x-protobuf; x=y")]);
            of_http(StatusCode::OK, &protobuf, &body).unwrap().said
        };
        assert_eq!(said("too old\r\n\u{1b}[31mforged").as_deref(), Some("too old[31mforged"));
        assert_eq!(said(&"é".repeat(1000)), Some("é".repeat(SAID_CHARS_MAX).into()));
        assert_eq!((said(""), said("\n")), (None, None));
    }

    #[test]
    fn an_answer_of_another_kind_is_no_success() {
        for kind in
            [&[("content-type", "text/html")][..], &[("content-type", "application/json")], &[]]
        {
            let answer = of_http(StatusCode::OK, &headers(kind), b"<html>please log in</html>");
            assert!(matches!(answer, Err(SendError::BadAnswer)), "{kind:?}");
            assert_eq!(of_http(StatusCode::OK, &headers(kind), b"").unwrap(), Taken::default());
        }
    }

    #[test]
    fn only_what_is_wrong_in_itself_is_the_datas_fault() {
        let of_status = |code: &u16| {
            let status = StatusCode::from_u16(*code).unwrap();
            of_http(status, &HeaderMap::new(), &[]).unwrap_err().blames_data()
        };
        let statuses = [400, 401, 403, 404, 413, 415, 429, 500, 501, 502, 503, 504];
        let blamed: Vec<u16> = statuses.into_iter().filter(of_status).collect();
        assert_eq!(blamed, [400, 413]);
        let of_code = |code: &u16| {
            let ends = headers(&[("grpc-status", &code.to_string())]);
            of_grpc(StatusCode::OK, &ends, (&[], None)).unwrap_err().blames_data()
        };
        assert_eq!((1..=16).filter(of_code).collect::<Vec<u16>>(), [INVALID_ARGUMENT]);
    }

    #[test]
    fn only_what_may_pass_is_sent_again() {
        let of_status = |code| {
            let status = StatusCode::from_u16(code).unwrap();
            of_http(status, &HeaderMap::new(), &[]).unwrap_err().may_pass()
        };
        let again: Vec<u16> = [400, 401, 404, 413, 429, 500, 501, 502, 503, 504]
            .into_iter()
            .filter(|c| of_status(*c))
            .collect();
        assert_eq!(again, [429, 502, 503, 504]);
        let of_code = |code: u16| {
            let ends = headers(&[("grpc-status", &code.to_string())]);
            let answer = of_grpc(StatusCode::OK, &ends, (&[], None));
            answer.unwrap_err().may_pass()
        };
        let again: Vec<u16> = (1..=16).filter(|code| of_code(*code)).collect();
        assert_eq!(again, RETRYABLE);
    }

    #[test]
    fn a_receiver_says_how_long_it_wants_to_be_left_alone() {
        let after = headers(&[("retry-after", "7")]);
        let error = of_http(StatusCode::SERVICE_UNAVAILABLE, &after, &[]).unwrap_err();
        assert_eq!(error.pause(), Some(Duration::from_secs(7)));
        let forever = headers(&[("retry-after", "99999999999")]);
        let error = of_http(StatusCode::SERVICE_UNAVAILABLE, &forever, &[]).unwrap_err();
        assert_eq!(error.pause(), Some(PAUSE_MAX));

        let mut status = Vec::new();
        let mut message = Message(&mut status);
        message.uint(1, 8);
        message.nested(3, |any| {
            any.text(1, "type.googleapis.com/google.rpc.RetryInfo");
            any.nested(2, |info| {
                info.nested(1, |delay| {
                    delay.uint(1, 2);
                    delay.uint(2, 500_000_000);
                });
            });
        });
        let details = BASE64_STANDARD_NO_PAD.encode(status);
        let ends = headers(&[("grpc-status", "8"), ("grpc-status-details-bin", &details)]);
        let error = of_grpc(StatusCode::OK, &HeaderMap::new(), (&[], Some(&ends))).unwrap_err();
        assert!(error.may_pass());
        assert_eq!(error.pause(), Some(Duration::from_millis(2500)));
    }

    #[test]
    fn what_is_not_grpc_is_no_success() {
        let answer = of_grpc(StatusCode::OK, &HeaderMap::new(), (b"<html>", None));
        assert!(matches!(answer, Err(SendError::BadAnswer)));
        let answer = of_grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), (b"<html>", None));
        assert!(answer.unwrap_err().may_pass());
    }
}
