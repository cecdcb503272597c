//! Who may change something, and what they send.

use http::{StatusCode, header};
use mcp_core::secret::Secret;
use pingora::protocols::http::ServerSession;

use super::{AdminState, Answer};

/// Largest body taken, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

/// How long a body may take.
const BODY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The token keeps away whoever can reach the port, and a web page, which cannot send it without being asked first.
///
/// # Errors
/// The answer that refuses.
pub(super) fn check(session: &ServerSession, state: &AdminState) -> Result<(), Answer> {
    let Some(token) = &state.token else {
        let why = "nothing can be changed here: set server.admin.token first\n";
        return Err(Answer::plain(StatusCode::FORBIDDEN, why));
    };
    if !shows(session, token) {
        let why = "send server.admin.token as `Authorization: Bearer`\n";
        return Err(Answer::plain(StatusCode::UNAUTHORIZED, why));
    }
    Ok(())
}

fn shows(session: &ServerSession, token: &Secret) -> bool {
    let mut values = session.req_header().headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, shown)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(
        shown.as_bytes(),
        token.expose().as_bytes(),
    );
    scheme.eq_ignore_ascii_case("bearer") && equal.is_ok()
}

/// Reads the body.
///
/// # Errors
/// The answer to one that broke off or is too large.
pub(super) async fn body(session: &mut ServerSession) -> Result<Vec<u8>, Answer> {
    let read = async {
        let mut body = Vec::new();
        while let Some(piece) = session.read_request_body().await.ok()? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return None;
            }
            body.extend_from_slice(&piece);
        }
        Some(body)
    };
    let body = tokio::time::timeout(BODY_PATIENCE, read).await.ok().flatten();
    let broken = "the body broke off or is too large\n";
    body.ok_or_else(|| Answer::plain(StatusCode::BAD_REQUEST, broken))
}
