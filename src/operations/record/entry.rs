//! One end of a collection, and its line in the record.

use std::path::{Component, Path};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chain::{self, Key};
use crate::account::Account;
use crate::sign_in::claims::RequestedBy;
use crate::text::json;

/// How a collection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The package is there.
    Done,
    /// There is no package, or it was refused.
    Failed,
    /// The device was not asked, because of its problems.
    Skipped,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Failed => "failed",
            State::Skipped => "skipped",
        }
    }
}

/// One end of a collection, with what is known of it.
pub(crate) struct Entry<'a> {
    pub state: State,
    pub machine_id: &'a str,
    pub computer_name: Option<&'a str>,
    /// Whether the collection was found rather than answered, as in the documents of the functions.
    pub adopted: Option<bool>,
    pub comment: Option<&'a str>,
    /// When the collection was asked for, by this host's clock.
    pub asked: Option<SystemTime>,
    /// When the service answered that it runs, by the service's clock.
    pub service_date: Option<SystemTime>,
    pub action_id: Option<&'a str>,
    /// The service's JSON.
    pub action: Option<&'a str>,
    /// The member `package` of a function's document.
    pub package: Option<&'a str>,
    /// The absolute path of the folder that has the package.
    pub folder: &'a Path,
    /// The member `error` of a failure document.
    pub error: Option<&'a str>,
    pub problems: &'a [&'a str],
}

/// The member `package` of a line. It is read from that of a function's document, which names a path.
#[derive(Deserialize, Serialize)]
pub(super) struct Package<'a> {
    #[serde(rename(deserialize = "path", serialize = "file"))]
    pub file: String,
    bytes: u64,
    pub sha256: String,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    entries: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    bytes_uncompressed: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    device: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    missing: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    bytes_unlisted: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    same_but_for_case: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    unsafe_count: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    unsafe_entries: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Line<'a> {
    previous: &'a str,
    ended: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    library: &'static str,
    machine_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    computer_name: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    adopted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<RequestedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a Package<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [&'a str],
}

impl<'a> Entry<'a> {
    /// An end of which nothing else is known.
    pub(crate) fn new(state: State, machine_id: &'a str) -> Entry<'a> {
        Entry {
            state,
            machine_id,
            computer_name: None,
            adopted: None,
            comment: None,
            asked: None,
            service_date: None,
            action_id: None,
            action: None,
            package: None,
            folder: Path::new(""),
            error: None,
            problems: &[],
        }
    }

    /// By this the same end is known again.
    pub(super) fn key(&self) -> Key {
        let asked = || self.asked.map(millis).unwrap_or_default();
        let attempt = self.action_id.map_or_else(asked, str::to_owned);
        chain::end(self.state.name(), self.machine_id, &attempt)
    }

    /// The package, named as it is for those who find it beside the record in this folder.
    pub(super) fn package_in(&self, folder: &Path) -> Option<Package<'a>> {
        let mut package: Package<'_> = serde_json::from_str(self.package?).ok()?;
        let name = Path::new(&package.file).file_name()?;
        package.file = relative(&self.folder.join(name), folder);
        Some(package)
    }

    /// The line, with its line break.
    pub(super) fn line(
        &self,
        account: &Account,
        previous: &str,
        package: Option<&Package<'_>>,
    ) -> String {
        let masked = |json: Option<&str>| {
            let mut json = json.map(str::to_owned);
            json.iter_mut().for_each(|json| account.mask(json));
            json
        };
        let (action, error) = (masked(self.action), masked(self.error));
        let line = Line {
            previous,
            ended: millis(SystemTime::now()),
            // A header has whole seconds.
            service_date: self
                .service_date
                .map(|it| humantime::format_rfc3339_seconds(it).to_string()),
            asked: self.asked.map(millis),
            library: concat!("mde ", env!("CARGO_PKG_VERSION")),
            machine_id: self.machine_id,
            computer_name: self.computer_name,
            state: self.state.name(),
            adopted: self.adopted,
            comment: self.comment,
            requested_by: account.requested_by(),
            action_id: self.action_id,
            action: action.as_deref().and_then(|action| serde_json::from_str(action).ok()),
            package,
            error: error.as_deref().and_then(|error| serde_json::from_str(error).ok()),
            problems: self.problems,
        };
        // The service may write its JSON in several lines. A line break in a text is escaped.
        let mut line = json::text(&line).replace(['\n', '\r'], " ");
        line.push('\n');
        line
    }
}

fn millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The path from the folder, with slashes on every system, or the whole path if it leads elsewhere.
fn relative(path: &Path, folder: &Path) -> String {
    let inside = path.strip_prefix(folder).map(Path::to_owned).or_else(|_| {
        // Two names of one folder, for example by a link.
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let of_path = path.parent().map(real).unwrap_or_default();
        let inside = of_path.strip_prefix(real(folder)).map(Path::to_owned);
        inside.map(|inside| inside.join(path.file_name().unwrap_or_default()))
    });
    match inside {
        Ok(inside) => {
            let names =
                inside.components().map(Component::as_os_str).map(|it| it.to_string_lossy());
            names.collect::<Vec<_>>().join("/")
        }
        Err(_) => path.to_string_lossy().into_owned(),
    }
}
