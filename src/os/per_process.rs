//! State that belongs to one process.

use std::sync::{Arc, Weak};

use once_cell::race::OnceBox;

use crate::os::fork;

/// One `T` for each process. A forked child gets its own: the parent's locks may have been held by threads that do
/// not exist in the child. For that reason the nodes are linked without locks.
pub(crate) struct PerProcess<T>(OnceBox<Node<T>>);

struct Node<T> {
    /// Not its id: that of an ancestor, whose node is here, may have been given again.
    process: u64,
    value: T,
    next: OnceBox<Node<T>>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess(OnceBox::new())
    }

    /// This process's own.
    pub(crate) fn get(&self) -> &T {
        self.of(fork::incarnation())
    }

    fn of(&self, process: u64) -> &T {
        let new = || Box::new(Node { process, value: T::default(), next: OnceBox::new() });
        let mut node = self.0.get_or_init(new);
        while node.process != process {
            node = node.next.get_or_init(new);
        }
        &node.value
    }
}

/// What somebody still uses under this key, or else a new one. What nobody uses any more is forgotten; there are few.
pub(crate) fn shared<K: PartialEq, T: ?Sized>(
    all: &mut Vec<(K, Weak<T>)>,
    key: K,
    make: impl FnOnce() -> Arc<T>,
) -> Arc<T> {
    all.retain(|(_, one)| one.strong_count() > 0);
    let known = all.iter().find(|(known, _)| *known == key);
    known.and_then(|(_, one)| one.upgrade()).unwrap_or_else(|| {
        let one = make();
        all.push((key, Arc::downgrade(&one)));
        one
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_has_its_own() {
        let all: PerProcess<std::sync::Mutex<u32>> = PerProcess::new();
        let (parent, child) = (all.of(1), all.of(2));
        assert!(!std::ptr::eq(parent, child));
        assert!(std::ptr::eq(parent, all.of(1)));
        assert!(std::ptr::eq(child, all.of(2)));
    }
}
