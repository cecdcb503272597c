//! What is logged again and again while something is amiss.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Says when a line may be logged that has been logged before.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    /// Whether the line may be logged now; the first may.
    pub fn now(&self) -> bool {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_logged_and_then_one_in_a_while() {
        let (seldom, began) = (Seldom::default(), Instant::now());
        let logged: Vec<u64> =
            (0..25).filter(|second| seldom.at(began + Duration::from_secs(*second))).collect();
        assert_eq!(logged, [0, 10, 20]);
    }
}
