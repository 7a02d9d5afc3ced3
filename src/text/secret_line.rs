//! Header lines with secrets.

use std::sync::Arc;

use zeroize::Zeroizing;

/// A whole header line with a secret, and its line end. It is wiped from memory when the last copy is dropped.
#[derive(Clone)]
pub(crate) struct SecretLine(Arc<Zeroizing<String>>);

impl SecretLine {
    /// `name: value`. The caller has checked the value with [`SecretLine::can_carry`].
    pub(crate) fn new(name: &str, value: &str) -> SecretLine {
        // Allocated once: a string that grows leaves copies behind.
        let parts = [name, ": ", value, END_OF_LINE];
        let mut line = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        line.extend(parts);
        SecretLine(Arc::new(Zeroizing::new(line)))
    }

    /// Whether a header can carry this value.
    pub(crate) fn can_carry(value: &str) -> bool {
        !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value after `name: ` and `prefix`.
    pub(crate) fn value(&self, name: &str, prefix: &str) -> &str {
        let rest = self.0.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
        let value = rest.and_then(|rest| rest.strip_prefix(prefix)?.strip_suffix(END_OF_LINE));
        value.unwrap_or_default()
    }

    pub(crate) fn is_same(&self, other: &SecretLine) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether there is another copy of it.
    pub(crate) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl std::fmt::Debug for SecretLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretLine(***)")
    }
}

const END_OF_LINE: &str = "\r\n";
