//! A session as it is kept beside its worker, so that another can take it over.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rmcp::model::{InitializeRequestParams, ProtocolVersion};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::principal::PrincipalId;

/// Number of this form of a saved session. A form that cannot be read as this one gets another.
const FORM: u8 = 1;
/// Longest `initialize` parameters of a saved session, in bytes. A client's are 16 KiB at most; written anew
/// they can be nearly four times as long, since `1e15` becomes `1000000000000000.0`.
const INIT_BYTES_MAX: usize = 64 << 10;

/// All that a worker must know to go on with a session of another: what its client said at `initialize`, the version
/// agreed on, whose it is, and when it ends.
///
/// It is no secret by itself, but says what client somebody uses. `Debug` shows nothing of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SavedSession {
    form: u8,
    version: Box<str>,
    init: Box<RawValue>,
    principal: Option<[u8; 16]>,
    /// Unix time.
    expires_s: u64,
}

/// Why a session cannot go on here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotRestore {
    /// There are too many sessions, or they keep too much.
    #[error("there is no room for one more session")]
    Full,
    /// It is too large, or of a form or a protocol version that this release does not know.
    #[error("the saved session cannot be read")]
    Unreadable,
    /// Its time is over.
    #[error("the saved session has expired")]
    Expired,
}

impl SavedSession {
    /// Saves a session. `None` when what its client said cannot be written.
    pub(super) fn new(
        init: &InitializeRequestParams,
        version: &ProtocolVersion,
        principal: Option<PrincipalId>,
        expires_s: u64,
    ) -> Option<Self> {
        Some(Self {
            form: FORM,
            version: version.as_str().into(),
            init: to_raw_value(init).ok()?,
            principal: principal.map(|principal| principal.0),
            expires_s,
        })
    }

    /// Whose session it is.
    #[must_use]
    pub fn principal(&self) -> Option<PrincipalId> {
        self.principal.map(PrincipalId)
    }

    /// When the session ends, however busy it is.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        // A time beyond what the clock can say is none that we wrote: it counts as over.
        UNIX_EPOCH.checked_add(Duration::from_secs(self.expires_s)).unwrap_or(UNIX_EPOCH)
    }

    /// What the client said, and the version agreed on.
    pub(super) fn read(self) -> Result<(InitializeRequestParams, ProtocolVersion), CannotRestore> {
        if self.form != FORM || self.init.get().len() > INIT_BYTES_MAX {
            return Err(CannotRestore::Unreadable);
        }
        let version = ProtocolVersion::KNOWN_VERSIONS
            .iter()
            .find(|known| known.as_str() == &*self.version && known.has_initialize())
            .ok_or(CannotRestore::Unreadable)?;
        let init = serde_json::from_str(self.init.get())
            .map_err(|_no_longer_known| CannotRestore::Unreadable)?;
        Ok((init, version.clone()))
    }
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SavedSession(..)")
    }
}

/// Whole seconds of Unix time; those before 1970 are 0.
pub(super) fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ClientCapabilities, Implementation};
    use serde_json::{Value, json};

    use super::*;

    const ALICE: PrincipalId = PrincipalId([7; 16]);

    fn init() -> InitializeRequestParams {
        let client = Implementation::new("a client", "1");
        InitializeRequestParams::new(ClientCapabilities::default(), client)
    }

    fn saved() -> SavedSession {
        SavedSession::new(&init(), &ProtocolVersion::V_2025_06_18, Some(ALICE), 5_000_000).unwrap()
    }

    /// What is read of a saved session of which something was changed on its way.
    fn read_with(field: &str, value: Value) -> Result<(), CannotRestore> {
        let mut json = serde_json::to_value(saved()).unwrap();
        json[field] = value;
        let changed: SavedSession = serde_json::from_slice(json.to_string().as_bytes()).unwrap();
        changed.read().map(drop)
    }

    #[test]
    fn what_was_saved_is_read_as_it_was() {
        let json = serde_json::to_vec(&saved()).unwrap();
        assert!(json.len() < 500, "{} bytes", json.len());
        let read: SavedSession = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.principal(), Some(ALICE));
        assert_eq!(read.expires(), UNIX_EPOCH + Duration::from_secs(5_000_000));
        assert_eq!(read.read(), Ok((init(), ProtocolVersion::V_2025_06_18)));
    }

    #[test]
    fn what_is_of_another_form_or_version_is_unreadable() {
        assert_eq!(read_with("form", json!(1)), Ok(()));
        for (field, value) in [
            ("form", json!(2)),
            ("version", json!("2999-01-01")),
            ("version", json!("2026-07-28")),
            ("init", json!({ "protocolVersion": 7 })),
            ("init", json!(null)),
        ] {
            let shown = format!("{field}: {value}");
            assert_eq!(read_with(field, value), Err(CannotRestore::Unreadable), "{shown}");
        }
    }

    #[test]
    fn what_is_larger_than_any_session_of_ours_is_unreadable() {
        let with_name = |bytes: usize| {
            let mut init = serde_json::to_value(init()).unwrap();
            init["clientInfo"]["name"] = "x".repeat(bytes).into();
            read_with("init", init)
        };
        assert_eq!(with_name(60_000), Ok(()));
        assert_eq!(with_name(INIT_BYTES_MAX), Err(CannotRestore::Unreadable));
    }

    #[test]
    fn a_time_that_no_clock_says_is_over() {
        let mut json = serde_json::to_value(saved()).unwrap();
        json["expires_s"] = u64::MAX.into();
        let saved: SavedSession = serde_json::from_value(json).unwrap();
        assert_eq!(saved.expires(), UNIX_EPOCH);
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", saved()), "SavedSession(..)");
    }
}
