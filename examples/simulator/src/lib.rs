//! mde-simulator
