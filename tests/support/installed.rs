//! An unpacked release archive, as somebody who embeds the library has one.
//!
//! ```text
//! include/  mde.h mde.hpp
//! lib/      libmde.so libmde.so.0 libmde.so.0.1.0 libmde.a pkgconfig/mde.pc cmake/mde/*.cmake
//! share/mde/examples/  c cpp dotnet python
//! ```

#![allow(dead_code, reason = "each test binary uses its own part")]

use crate::harness::Scratch;
use crate::harness::installing::{archive, unpack};

/// The archive for this machine, unpacked in an empty folder; gone when dropped.
pub fn installed() -> Scratch {
    let prefix = Scratch::new("installed");
    unpack(archive(), &prefix.0);
    prefix
}
