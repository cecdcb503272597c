//! What a caller may use: tools, each on some backends.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use globset::GlobSet;

use crate::{config::BackendName, principal::PrincipalId};

/// Tools that may be used, each on some backends. What no grant names may not be used.
#[derive(Debug)]
pub struct Access {
    /// Tells this access from every other of the process; callers who share one may share what was computed
    /// for it, such as a list of tools.
    number: u64,
    /// None: everything.
    grants: Option<Vec<Arc<Grant>>>,
}

/// Tools on backends.
#[derive(Debug)]
pub struct Grant {
    /// Tools.
    pub tools: GlobSet,
    /// Backends on which they may be used.
    pub backends: GlobSet,
}

/// Who calls, and what that caller may use.
#[derive(Debug, Clone)]
pub struct Caller {
    /// None for a caller without a token.
    pub principal: Option<PrincipalId>,
    /// What the caller may use.
    pub access: Arc<Access>,
    /// What is offered to the caller.
    pub edition: Edition,
}

/// What a handler offered when a request began: the request keeps it, so that what its caller may use and what
/// there is to use are of one configuration. The default stands for what the handler offers at the moment.
#[derive(Clone, Default)]
pub struct Edition {
    number: u64,
    offer: Option<Arc<dyn Any + Send + Sync>>,
}

static EVERYTHING: LazyLock<Arc<Access>> =
    LazyLock::new(|| Arc::new(Access { number: 0, grants: None }));

impl Access {
    /// Every tool on every backend.
    #[must_use]
    pub fn everything() -> Arc<Self> {
        Arc::clone(&EVERYTHING)
    }

    /// What these grants allow together.
    #[must_use]
    pub fn of(grants: Vec<Arc<Grant>>) -> Arc<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Arc::new(Self { number, grants: Some(grants) })
    }

    /// Its number, unique in the process.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Whether the tool may be used on some backend.
    #[must_use]
    pub fn tool(&self, tool: &str) -> bool {
        let Some(grants) = &self.grants else { return true };
        grants.iter().any(|grant| grant.tools.is_match(tool))
    }

    /// Whether the tool may be used on that backend.
    #[must_use]
    pub fn backend(&self, tool: &str, backend: &BackendName) -> bool {
        let Some(grants) = &self.grants else { return true };
        grants
            .iter()
            .any(|grant| grant.tools.is_match(tool) && grant.backends.is_match(backend.as_str()))
    }
}

impl Edition {
    /// An edition with this offer.
    #[must_use]
    pub fn of(offer: Arc<dyn Any + Send + Sync>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Self { number, offer: Some(offer) }
    }

    /// Its number, unique in the process.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The offer, if it is of that type.
    #[must_use]
    pub fn offer<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(self.offer.as_ref()?).downcast().ok()
    }
}

impl fmt::Debug for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edition").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Caller {
    /// A caller without a token who may use everything that is offered at the moment.
    #[must_use]
    pub fn anyone() -> Self {
        Self { principal: None, access: Access::everything(), edition: Edition::default() }
    }
}
