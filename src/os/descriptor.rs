//! Descriptors that the library opens in its host's process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A host that has closed its standard streams may still write to them: not into a connection or file of ours.
pub(crate) fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    match descriptor.as_raw_fd() {
        0..=2 => Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, 3)?),
        _ => Ok(descriptor),
    }
}
