//! A package on disk, as callers get it.

use serde::{Serialize, Serializer};

use crate::package_zip::Contents;
use crate::text::json;

/// A package on disk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Package {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The action that collected it.
    pub action_id: String,
    /// The device, if the action names it.
    pub machine_id: Option<String>,
    /// The name of that device.
    pub computer_name: Option<String>,
    /// An earlier call downloaded the package. This one only checked that the file is unchanged.
    pub existing: bool,
    /// What is in it.
    pub contents: Contents,
}

impl Package {
    /// `{"package":{"path":"…","bytes":…,"sha256":"…","action_id":"…",…,"entries":…,…}}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            package: &'a Package,
        }
        json::text(&Document { package: self })
    }
}

impl Serialize for Package {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Package { path, bytes, sha256, action_id, machine_id, computer_name, .. } = self;
        Members {
            path,
            bytes: *bytes,
            sha256,
            action_id,
            machine_id: machine_id.as_deref(),
            computer_name: computer_name.as_deref(),
            existing: self.existing,
            contents: Some(&self.contents),
        }
        .serialize(serializer)
    }
}

/// The members of a package in documents. A damaged one has no contents.
#[derive(Serialize)]
pub(super) struct Members<'a> {
    pub path: &'a str,
    pub bytes: u64,
    pub sha256: &'a str,
    pub action_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<&'a str>,
    pub existing: bool,
    #[serde(flatten)]
    pub contents: Option<&'a Contents>,
}
