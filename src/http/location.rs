//! Takes the target of a redirect out of a reply's head, before the HTTP library logs it: its query is as secret as that of
//! the link.

use std::cell::{Cell, RefCell};

use zeroize::Zeroizing;

const NAME: &[u8] = b"\nlocation:";

/// The target of a redirect, once it was read.
#[derive(Debug, Default)]
pub(super) struct Location {
    /// Whether the head of a download's reply is being read.
    is_awaited: Cell<bool>,
    /// The bytes so far end with the end of a line, which an empty line may follow.
    line_begins: Cell<bool>,
    target: RefCell<Option<Zeroizing<String>>>,
}

impl Location {
    /// A head follows from which it is to be taken.
    pub(super) fn await_it(&self) {
        self.is_awaited.set(true);
        self.line_begins.set(false);
    }

    pub(super) fn get(&self) -> Option<Zeroizing<String>> {
        self.target.borrow().clone()
    }

    /// Takes it out of the next bytes of the reply. A line that is cut between two reads stays as it is. What follows the
    /// head is the package, of which no byte may change.
    pub(super) fn take_from(&self, bytes: &mut [u8]) {
        if !self.is_awaited.get() {
            return;
        }
        let mut line_begins = self.line_begins.get();
        let end = bytes.iter().position(|byte| match byte {
            b'\n' => std::mem::replace(&mut line_begins, true),
            b'\r' => false,
            _ => {
                line_begins = false;
                false
            }
        });
        self.line_begins.set(line_begins);
        self.is_awaited.set(end.is_none());
        let head = bytes.get_mut(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let found = head.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME));
        let Some(rest) = found.and_then(|at| head.get_mut(at + NAME.len()..)) else { return };
        let Some(end) = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n') else {
            return;
        };
        let Some(value) = rest.get_mut(..end) else { return };
        if let Ok(target) = std::str::from_utf8(value.trim_ascii()) {
            self.target.replace(Some(Zeroizing::new(target.to_owned())));
            value.iter_mut().filter(|byte| byte.is_ascii_graphic()).for_each(|byte| *byte = b'*');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(reads: &[&str]) -> (Option<String>, String) {
        let location = Location::default();
        location.await_it();
        let mut rest = String::new();
        for read in reads {
            let mut bytes = read.as_bytes().to_vec();
            location.take_from(&mut bytes);
            rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        (location.get().map(|target| target.to_string()), rest)
    }

    #[test]
    fn the_target_is_taken_out_of_the_head_alone() {
        let head = "HTTP/1.1 302 X\r\nA: b\r\nLOCATION:  https://h/x?y \r\nC: d\r\n\r\n";
        let hidden = head.replace("https://h/x?y", "*************");
        assert_eq!(taken(&[head]), (Some("https://h/x?y".to_owned()), hidden.clone()));
        let (first, second) = head.split_at(20);
        assert_eq!(taken(&[first, second]).1, hidden);
        let body = "HTTP/1.1 200 X\r\n\r\n\nlocation: z\r\n";
        for same in [&[body][..], &["HTTP/1.1 200 X\r\n\r\n", "\nlocation: z\r\n"], &["x"], &[""]] {
            assert_eq!(taken(same), (None, same.concat()));
        }
        // The end of the head is cut, or its lines end otherwise.
        for body in ["PK..\nlocation: z\r\n", "\nlocation: z\n"] {
            for head in ["HTTP/1.1 200 X\r\nA: b\r\n\r\n", "HTTP/1.1 200 X\nA: b\n\n"] {
                for at in 1..=head.len() {
                    let (first, second) = head.split_at(at);
                    let parts = [first, &format!("{second}{body}")];
                    assert_eq!(taken(&parts), (None, parts.concat()), "{at}");
                    let parts = [first, second, body];
                    assert_eq!(taken(&parts), (None, parts.concat()), "{at}");
                }
            }
        }
        let cut = ["HTTP/1.1 302 X\r\nLocation: https://", "h/x?y\r\n\r\n"];
        assert_eq!(taken(&cut), (None, cut.concat()));
    }
}
