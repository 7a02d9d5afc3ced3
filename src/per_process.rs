//! State that belongs to one process: a forked child gets its own.

use once_cell::race::OnceBox;

use crate::ffi::process;

/// One value for each process. The parent's may be locked by a thread that does not exist in the child, so the
/// child never looks at it; and the values are linked without locks, for the same reason.
pub(crate) struct PerProcess<T: 'static> {
    first: OnceBox<Node<T>>,
}

struct Node<T: 'static> {
    pid: u32,
    value: T,
    next: OnceBox<Node<T>>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> PerProcess<T> {
        PerProcess { first: OnceBox::new() }
    }

    /// This process's value, made when it is first asked for.
    pub(crate) fn get(&'static self) -> &'static T {
        self.of(process::id())
    }

    fn of(&'static self, pid: u32) -> &'static T {
        let new = || Box::new(Node { pid, value: T::default(), next: OnceBox::new() });
        let mut node = self.first.get_or_init(new);
        while node.pid != pid {
            node = node.next.get_or_init(new);
        }
        &node.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_has_its_own() {
        static VALUE: PerProcess<parking_lot::Mutex<u32>> = PerProcess::new();
        let (parent, child) = (VALUE.of(1), VALUE.of(2));
        assert!(!std::ptr::eq(parent, child));
        assert!(std::ptr::eq(parent, VALUE.of(1)));
        assert!(std::ptr::eq(child, VALUE.of(2)));
    }
}
