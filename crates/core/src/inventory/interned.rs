//! Values of which a cluster has few, and many copies: each is kept once, and shared.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Those that nobody shares any more are dropped once there are so many.
const MANY: usize = 1024;

/// Every value that somebody shares. Equal ones that came through the same set are one: to compare their addresses is enough.
#[derive(Clone, Debug)]
pub(super) struct Interned<T>(HashSet<Arc<T>>);

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned(HashSet::default())
    }
}

impl<T: Eq + Hash> Interned<T> {
    /// The one that is equal to `value`.
    pub(super) fn share(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        if let Some(known) = self.0.get(&value) {
            return Arc::clone(known);
        }
        if self.0.len() >= MANY && self.0.len().is_power_of_two() {
            self.0.retain(|known| Arc::strong_count(known) > 1);
        }
        self.0.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_for_as_long_as_somebody_has_them() {
        let mut all: Interned<String> = Interned::default();
        let first = all.share("a".to_owned());
        assert!(Arc::ptr_eq(&first, &all.share("a".to_owned())));
        assert!(!Arc::ptr_eq(&first, &all.share("b".to_owned())));
        for number in 0..=2 * MANY {
            all.share(number.to_string());
        }
        assert!(all.0.len() <= MANY + 2, "{}", all.0.len());
        assert!(Arc::ptr_eq(&first, &all.share("a".to_owned())));
    }
}
