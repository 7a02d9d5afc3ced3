//! The state file of a part, and the receipt of a whole package.

use serde::{Deserialize, Serialize};

use crate::text::guid::is_guid;

/// The state file `<file>.part.json`: the package that the bytes in `<file>.part` belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartState {
    pub action_id: String,
    /// The validators that the host gave for this version of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The length of the whole, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Set once the whole package is downloaded and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// An empty file may have the final path: the claim of this download. See `claim.rs`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
}

impl PartState {
    pub(super) fn of(action_id: &str) -> PartState {
        PartState { action_id: action_id.to_owned(), ..PartState::default() }
    }

    /// Whether these validators are of another version than the recorded one.
    pub(super) fn differs(&self, etag: Option<&str>, modified: Option<&str>) -> bool {
        match (self.etag.as_deref(), etag) {
            (Some(ours), Some(theirs)) => opaque(ours) != opaque(theirs),
            _ => match (self.last_modified.as_deref(), modified) {
                (Some(ours), Some(theirs)) => ours != theirs,
                _ => false,
            },
        }
    }

    /// The value of `If-Range`. HTTP does not allow a weak tag there, since two versions may share it.
    pub(crate) fn if_range(&self) -> Option<&str> {
        match self.etag.as_deref() {
            Some(etag) if !etag.starts_with("W/") => Some(etag),
            _ => self.last_modified.as_deref(),
        }
    }
}

fn opaque(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// The proof that a file is the checked package of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub action_id: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Receipt {
    /// One line: the value of the attribute of the file.
    pub(crate) fn to_line(&self) -> String {
        format!("1 {} {} {}", self.action_id, self.bytes, self.sha256)
    }

    pub(crate) fn from_line(line: &str) -> Option<Receipt> {
        let mut words = line.split(' ');
        let (version, action_id) = (words.next()?, words.next()?.to_owned());
        let (bytes, sha256) = (words.next()?.parse().ok()?, words.next()?.to_owned());
        let is_whole = version == "1" && words.next().is_none() && is_guid(&action_id);
        is_whole.then_some(Receipt { action_id, bytes, sha256 })
    }

    /// The state that stands for this receipt where the file system keeps no attributes.
    pub(crate) fn to_state(&self) -> PartState {
        PartState {
            total: Some(self.bytes),
            sha256: Some(self.sha256.clone()),
            ..PartState::of(&self.action_id)
        }
    }

    pub(crate) fn from_state(state: PartState) -> Option<Receipt> {
        let PartState { action_id, total: Some(bytes), sha256: Some(sha256), .. } = state else {
            return None;
        };
        is_guid(&action_id).then_some(Receipt { action_id, bytes, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_read_back_from_its_line() {
        let id = "5382f7ea-7557-4ab7-9782-d50480024a4e";
        let receipt = Receipt { action_id: id.into(), bytes: 7, sha256: "ff".into() };
        assert_eq!(Receipt::from_line(&receipt.to_line()), Some(receipt));
        for bad in ["", "1", "2 a 7 ff", "1 a x ff", "1 a 7", "1 a 7 ff more"] {
            let line = bad.replace(" a ", &format!(" {id} "));
            assert_eq!(Receipt::from_line(&line), None, "{line}");
        }
        assert_eq!(Receipt::from_line("1 ../../a 7 ff"), None);
    }

    #[test]
    fn versions_are_compared_by_the_best_validator_they_share() {
        let mut state = PartState::of("a");
        assert!(!state.differs(Some("\"1\""), None));
        state.last_modified = Some("Mon".into());
        assert!(state.differs(None, Some("Tue")));
        assert_eq!(state.if_range(), Some("Mon"));
        state.etag = Some("W/\"1\"".into());
        assert!(!state.differs(Some("\"1\""), Some("Tue")));
        assert!(state.differs(Some("\"2\""), Some("Mon")));
        assert_eq!(state.if_range(), Some("Mon"));
        state.etag = Some("\"1\"".into());
        assert_eq!(state.if_range(), Some("\"1\""));
    }
}
