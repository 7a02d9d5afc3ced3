//! Writes a package to its file and hashes it as it arrives.

use std::io;

use ring::digest::{Context, SHA256};

use crate::text::hex::hex;

/// The SHA-256 of the bytes written so far.
pub(super) struct Writer(Context);

impl Writer {
    pub(super) fn new() -> Writer {
        Writer::after(Context::new(&SHA256))
    }

    /// A writer that resumes after the bytes in `context`.
    pub(super) fn after(context: Context) -> Writer {
        Writer(context)
    }

    /// Writes bytes where the ones before ended.
    pub(super) fn add(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        write(bytes)?;
        self.0.update(bytes);
        Ok(())
    }

    /// The hash of all bytes written.
    pub(super) fn sha256(&self) -> String {
        hex(self.0.clone().finish().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::os::lock::write_at;

    #[test]
    fn the_file_holds_what_was_hashed() {
        let path = std::env::temp_dir().join(format!("mde-writer-{:016x}", fastrand::u64(..)));
        let file = File::create(&path).unwrap();
        let (mut writer, mut all) = (Writer::new(), Vec::new());
        for n in 0..40_u8 {
            let bytes = vec![n; 1_000 * usize::from(n)];
            writer.add(&bytes, |bytes| write_at(&file, bytes, all.len() as u64)).unwrap();
            all.extend(bytes);
        }
        let hash = hex(ring::digest::digest(&SHA256, &all).as_ref());
        assert_eq!((writer.sha256(), writer.sha256()), (hash.clone(), hash));
        assert_eq!(std::fs::read(&path).unwrap(), all);

        // Bytes whose write failed are not hashed.
        let closed = File::open(&path).unwrap();
        let at = all.len() as u64;
        assert!(writer.add(b"more", |bytes| write_at(&closed, bytes, at)).is_err());
        assert_eq!(writer.sha256(), hex(ring::digest::digest(&SHA256, &all).as_ref()));
        drop((file, closed));
        std::fs::remove_file(&path).unwrap();
    }
}
