//! An unpacked release archive, as somebody who embeds the library has one.
//!
//! ```text
//! include/  mde.h mde.hpp
//! lib/      libmde.so libmde.so.0 libmde.so.0.1.0 libmde.a pkgconfig/mde.pc cmake/mde/*.cmake
//! share/mde/examples/  c cpp dotnet python
//! ```

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::harness::{ROOT, Scratch, release, run};

/// The archive, unpacked in an empty folder; gone when dropped.
pub fn installed() -> Scratch {
    let prefix = Scratch::new("installed");
    let lib = prefix.0.join("lib");
    let examples = prefix.0.join("share/mde/examples");
    fs::create_dir_all(&lib).unwrap();
    fs::create_dir_all(examples.parent().unwrap()).unwrap();
    fs::copy(release().join("libmde.so"), lib.join("libmde.so.0")).unwrap();
    symlink("libmde.so.0", lib.join("libmde.so")).unwrap();
    let copy = |from: &str, to: &Path| {
        run(Command::new("cp").arg("-R").arg(Path::new(ROOT).join(from)).arg(to)).expect(0);
    };
    copy("include", &prefix.0);
    copy("examples", &examples);
    prefix
}
