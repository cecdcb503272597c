//! Which backends a tool may ask for the one who calls it.

use crate::{
    access::Access,
    backend::{Backend, Backends},
};

/// The backends that one tool may ask for one caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach<'b> {
    backends: &'b Backends,
    tool: &'static str,
    /// None: everything is allowed, as over stdio.
    access: Option<&'b Access>,
}

/// What a name of a backend means to a caller.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'b> {
    Allowed(&'b Backend),
    /// It exists, but not for this caller.
    Denied,
    Unknown,
}

impl<'b> Reach<'b> {
    pub(crate) const fn new(
        backends: &'b Backends,
        tool: &'static str,
        access: Option<&'b Access>,
    ) -> Self {
        Self { backends, tool, access }
    }

    /// The backends that the caller may use with the tool, ordered by name.
    pub(crate) fn all(self) -> impl Iterator<Item = &'b Backend> {
        self.backends.all().iter().filter(move |backend| self.allows(backend))
    }

    /// The backend of this name.
    pub(crate) fn named(self, name: &str) -> Named<'b> {
        match self.backends.get(name) {
            Some(backend) if self.allows(backend) => Named::Allowed(backend),
            Some(_other) => Named::Denied,
            None => Named::Unknown,
        }
    }

    /// Whether the caller may use the tool: on some backend, or at all while there is none, whose answer is
    /// that none is configured.
    pub(crate) fn is_open(self) -> bool {
        if self.backends.all().is_empty() {
            return self.access.is_none_or(|access| access.tool(self.tool));
        }
        self.all().next().is_some()
    }

    fn allows(self, backend: &Backend) -> bool {
        self.access.is_none_or(|access| access.backend(self.tool, backend.name()))
    }
}
