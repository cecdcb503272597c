//! What was last worked out, for what comes again and again.

/// A small LRU cache: the last few values, the one that was used last before the others.
///
/// A look through them is meant to be cheaper than to work one out, so there should not be many.
#[derive(Debug)]
pub struct Recent<V> {
    values: Vec<V>,
    most: usize,
}

impl<V> Recent<V> {
    /// Holds nothing yet, and at most so many values ever; never less than the last.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { values: Vec::new(), most }
    }

    /// The value for which `is` holds. It comes first from now on.
    pub fn find(&mut self, is: impl FnMut(&V) -> bool) -> Option<&V> {
        let place = self.values.iter().position(is)?;
        if place > 0 {
            self.values.get_mut(..=place)?.rotate_right(1);
        }
        self.values.first()
    }

    /// Adds a value. Where there is no room, the one goes that was not used for the longest time.
    pub fn add(&mut self, value: V) {
        self.values.truncate(self.most.saturating_sub(1));
        self.values.insert(0, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_room_for_one_it_is_the_last() {
        for most in [0, 1] {
            let mut recent = Recent::new(most);
            recent.add(1);
            recent.add(2);
            assert_eq!(recent.values, [2], "{most}");
        }
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let mut recent = Recent::new(3);
        assert_eq!(recent.find(|_| true), None);
        for value in [1, 2, 3] {
            recent.add(value);
        }
        assert_eq!(recent.find(|value| *value == 1), Some(&1));
        recent.add(4);
        assert_eq!(recent.values, [4, 1, 3]);
        assert_eq!(recent.find(|value| *value == 2), None);
        assert_eq!(recent.find(|value| *value == 3), Some(&3));
        assert_eq!(recent.values, [3, 4, 1]);
    }
}
