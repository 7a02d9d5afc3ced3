//! What is shipped: header, library, archive, documents.

/// What is in the archive, and that programs are built and run with nothing else.
mod archive;
/// What was promised to programs that are in use.
mod compatibility;
/// The crates that the library is linked from.
mod dependencies;
/// Every block of code in the pages.
mod documents;
/// The pages that are made of the header.
mod doxygen;
/// What a call may cost.
mod gates;
/// The header and the library.
mod header;
/// The pictures about performance.
mod plots;
/// How the pages are written.
mod prose;
/// The schema of the documents.
mod schema;
