//! mde
