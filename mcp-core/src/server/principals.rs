//! How many sessions each principal has open.

use std::{collections::HashMap, fmt};

use parking_lot::Mutex;

use crate::principal::PrincipalId;

/// The sessions of each principal, over all workers of the process.
///
/// It has one entry for each principal that has a session, so the bounds of the workers bound it too. Callers
/// without a token are not counted: nothing tells them apart.
#[derive(Default)]
pub struct PrincipalCounts(Mutex<HashMap<PrincipalId, usize>>);

/// The principal has as many sessions as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtBound;

impl PrincipalCounts {
    /// Sessions that the principal has open.
    #[must_use]
    pub fn of(&self, principal: PrincipalId) -> usize {
        self.0.lock().get(&principal).copied().unwrap_or_default()
    }

    /// Principals that have a session.
    #[must_use]
    pub fn principals(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether one more session, of at most `sessions_max`, would be refused.
    pub(super) fn at_bound(&self, principal: Option<PrincipalId>, sessions_max: usize) -> bool {
        principal.is_some_and(|principal| self.of(principal) >= sessions_max)
    }

    /// Counts one more session, if the principal then has no more than `sessions_max`.
    pub(super) fn enter(
        &self,
        principal: Option<PrincipalId>,
        sessions_max: usize,
    ) -> Result<(), AtBound> {
        let Some(principal) = principal else { return Ok(()) };
        let mut counts = self.0.lock();
        if counts.get(&principal).copied().unwrap_or_default() >= sessions_max {
            return Err(AtBound);
        }
        *counts.entry(principal).or_default() += 1;
        Ok(())
    }

    /// Counts one session less.
    pub(super) fn leave(&self, principal: Option<PrincipalId>) {
        let Some(principal) = principal else { return };
        let mut counts = self.0.lock();
        let Some(count) = counts.get_mut(&principal) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&principal);
        }
    }
}

impl fmt::Debug for PrincipalCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrincipalCounts(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Option<PrincipalId> = Some(PrincipalId([1; 16]));

    #[test]
    fn a_principal_is_counted_up_to_its_bound_and_forgotten_with_its_last_session() {
        let counts = PrincipalCounts::default();
        assert_eq!(counts.enter(ALICE, 2), Ok(()));
        assert!(!counts.at_bound(ALICE, 2));
        assert_eq!(counts.enter(ALICE, 2), Ok(()));
        assert!(counts.at_bound(ALICE, 2));
        assert_eq!(counts.enter(ALICE, 2), Err(AtBound));
        assert_eq!((counts.of(PrincipalId([1; 16])), counts.principals()), (2, 1));
        counts.leave(ALICE);
        assert_eq!(counts.enter(ALICE, 2), Ok(()));
        counts.leave(ALICE);
        counts.leave(ALICE);
        assert_eq!((counts.of(PrincipalId([1; 16])), counts.principals()), (0, 0));
    }

    #[test]
    fn a_refused_principal_leaves_no_entry() {
        let counts = PrincipalCounts::default();
        assert_eq!(counts.enter(ALICE, 0), Err(AtBound));
        assert_eq!(counts.principals(), 0);
    }

    #[test]
    fn callers_without_a_token_are_not_counted() {
        let counts = PrincipalCounts::default();
        for _many in 0..5 {
            assert_eq!(counts.enter(None, 1), Ok(()));
        }
        assert!(!counts.at_bound(None, 1));
        assert_eq!(counts.principals(), 0);
    }
}
