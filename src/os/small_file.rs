//! Files that options name: certificates, keys, tokens.

use std::fs::{self, Metadata};
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::file::{self, Access, Links};
use crate::os::io_error::reason;
use crate::text::byte_order_mark;

/// The whole of a file of up to `most` bytes, wiped when dropped. The error completes "… names a file that …".
pub(crate) fn read(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error| format!("is not readable: {}", reason(&error));
    let length_of = |metadata: Metadata| {
        let fits = metadata.is_file() && metadata.len() <= most;
        let length = usize::try_from(metadata.len()).ok().filter(|_| fits);
        length.ok_or_else(|| format!("is not a file of up to {most} bytes"))
    };
    // Checked before the open, which has an effect on some devices, and again after it: a file with a token may be
    // replaced meanwhile.
    length_of(fs::metadata(path).map_err(unreadable)?)?;
    let file = file::open(path, Access::Read, Links::Followed).map_err(unreadable)?;
    let length = length_of(file.metadata().map_err(unreadable)?)?;
    // The buffer has its whole size from the start, since one that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(length as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    byte_order_mark::remove(&mut bytes);
    Ok(bytes)
}

/// The same of text, without the blanks around it.
pub(crate) fn read_word(path: &Path, most: u64) -> Result<Zeroizing<String>, String> {
    let bytes = read(path, most)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Ok(Zeroizing::new(text.trim_ascii().to_owned()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_file_that_is_replaced_meanwhile_is_read_whole() {
        let folder = std::env::temp_dir().join(format!("mde-small-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let texts = ["short".to_owned(), "much longer ".repeat(100)];
        for (at, text) in texts.iter().enumerate() {
            fs::write(folder.join(at.to_string()), text).unwrap();
        }
        let path = folder.join("token");
        let turn = |at: usize| {
            // As Kubernetes does it.
            let next = folder.join("next");
            std::os::unix::fs::symlink((at % 2).to_string(), &next).unwrap();
            fs::rename(next, &path).unwrap();
        };
        turn(0);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 1.. {
                    turn(at);
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let until = Instant::now() + Duration::from_millis(500);
            let mut cut = 0;
            while Instant::now() < until {
                let read = read(&path, 10_000).unwrap();
                cut += usize::from(texts.iter().all(|text| text.as_bytes() != &**read));
            }
            ended.store(true, Ordering::Relaxed);
            assert_eq!(cut, 0);
        });
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused_without_waiting() {
        let folder = std::env::temp_dir().join(format!("mde-no-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        fs::write(folder.join("large"), "12345").unwrap();
        for name in ["pipe", "large", "."] {
            let said = read(&folder.join(name), 4).unwrap_err();
            assert_eq!(said, "is not a file of up to 4 bytes", "{name}");
        }
        assert_eq!(**read(&folder.join("large"), 5).unwrap(), *b"12345");
        fs::remove_dir_all(folder).unwrap();
    }
}
