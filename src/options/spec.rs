//! A row of the table of options, and how one is written.

use super::Settings;

/// The outcome of setting a value. The error is the value's problem, to complete "option `x` …".
pub(super) type Checked = std::result::Result<(), String>;

/// One row of the table.
pub(crate) struct Spec {
    pub name: &'static str,
    pub accepts: &'static str,
    pub preset: Preset,
    #[cfg_attr(not(test), expect(dead_code, reason = "for docs/options.md"))]
    pub about: &'static str,
    /// JSON numbers are accepted besides strings.
    pub(super) numeric: bool,
    pub(super) set: fn(&mut Settings, &str) -> Checked,
}

/// What applies to an option that is not set.
#[derive(Clone, Copy)]
pub(crate) enum Preset {
    /// This value, in the form in which it would be set.
    Value(&'static str),
    /// Other options or the environment decide, as this text describes.
    #[cfg_attr(not(test), expect(dead_code, reason = "for docs/options.md"))]
    Rule(&'static str),
    Nothing,
}

/// A row whose value is a string.
pub(super) const fn text(
    name: &'static str,
    accepts: &'static str,
    preset: Preset,
    about: &'static str,
    set: fn(&mut Settings, &str) -> Checked,
) -> Spec {
    Spec { name, accepts, preset, about, numeric: false, set }
}

/// A row whose value is a whole number.
pub(super) const fn number(
    name: &'static str,
    accepts: &'static str,
    preset: Preset,
    about: &'static str,
    set: fn(&mut Settings, &str) -> Checked,
) -> Spec {
    Spec { numeric: true, ..text(name, accepts, preset, about, set) }
}
