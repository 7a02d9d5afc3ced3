//! Fuzz targets for what the library reads from others. `targets` has a file for each; `tests/api` replays their corpus
//! without sanitizers.

pub mod targets;
