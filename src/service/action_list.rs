//! Lists of machine actions: a page of them, or one record after the other.

use serde::Deserialize;

use super::action::{ActionStatus, MachineAction};
use super::list;
use crate::text::guid;
use crate::text::json::Lenient;

/// The problem of a page with more actions than a page can have.
const TOO_MANY: &str = "has more actions than a page of the service";

/// One page of a list: `{"value":[…],"@odata.nextLink":"…"}`.
pub(crate) struct Page {
    pub actions: Vec<MachineAction>,
    pub next: Option<String>,
}

impl Page {
    /// Reads a page of at most `most` actions. `mask` and the error are as in [`MachineAction::from_json`].
    pub(crate) fn from_slice(
        body: &[u8],
        most: usize,
        mask: &dyn Fn(&mut String),
    ) -> Result<Page, &'static str> {
        let mut actions = Vec::new();
        let PageEnd { next, .. } = records(body, most, &mut |record| {
            actions.push(MachineAction::from_json(record, mask)?);
            Ok(())
        })?;
        Ok(Page { actions, next })
    }
}

/// What is known of a page once its records have been read.
#[derive(Debug)]
pub(crate) struct PageEnd {
    pub records: usize,
    /// The link to the next page.
    pub next: Option<String>,
}

/// A record of a list, of which id and state have been read. An action that has not changed costs no more.
pub(crate) struct Listed<'a> {
    json: &'a str,
    mask: &'a dyn Fn(&mut String),
    /// The number of the action's id, a GUID.
    pub id: u128,
    pub status: ActionStatus,
}

impl Listed<'_> {
    /// The whole action. The error is as in [`MachineAction::from_json`].
    pub(crate) fn action(&self) -> Result<MachineAction, &'static str> {
        MachineAction::from_json(self.json, self.mask)
    }
}

/// Receives the records of a page. Its error ends the reading.
pub(crate) type OnListed<'f> = &'f mut dyn FnMut(&Listed<'_>) -> Result<(), &'static str>;

/// Reads a page as [`Page::from_slice`] does, but keeps nothing of it.
pub(crate) fn each(
    body: &[u8],
    most: usize,
    mask: &dyn Fn(&mut String),
    on_listed: OnListed<'_>,
) -> Result<PageEnd, &'static str> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Record<'a> {
        #[serde(borrow)]
        id: Lenient<'a>,
        #[serde(borrow)]
        status: Lenient<'a>,
    }
    records(body, most, &mut |json| {
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        let record: Record<'_> =
            serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        let id = record.id.text().filter(|id| !id.is_empty()).ok_or("has no action id")?;
        let id = guid::number(&id).ok_or("has an action id that is no GUID")?;
        let status = ActionStatus::from_name(record.status.text().unwrap_or_default(), mask);
        on_listed(&Listed { json, mask, id, status })
    })
}

/// Reads the texts of at most `most` records.
fn records(
    body: &[u8],
    most: usize,
    on_record: &mut dyn FnMut(&str) -> Result<(), &'static str>,
) -> Result<PageEnd, &'static str> {
    let (mut records, mut problem) = (0, "is not a list of actions");
    let next = list::read(body, &mut |record| {
        let read = if records < most { on_record(record) } else { Err(TOO_MANY) };
        records += 1;
        match read {
            Ok(()) => true,
            Err(unusable) => {
                problem = unusable;
                false
            }
        }
    });
    next.map(|next| PageEnd { records, next }).ok_or(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

    fn two() -> String {
        format!(
            r#"{{"@odata.context":"c","@odata.nextLink":"https://h/api/x?$skip=2","value":[{{"id":"{ID}"}},{{"id":"{ID}","status":"failed"}}]}}"#
        )
    }

    #[test]
    fn pages_carry_their_next_link() {
        let page = |json: &str, most| Page::from_slice(json.as_bytes(), most, &|_| {});
        let read = page(&two(), 2).unwrap();
        assert_eq!(read.actions.len(), 2);
        assert_eq!(read.next.as_deref(), Some("https://h/api/x?$skip=2"));
        assert_eq!(page(&two(), 1).err(), Some(TOO_MANY));
        assert_eq!(page(r#"{"value":{}}"#, 9).err(), Some("is not a list of actions"));
        assert_eq!(page(r#"{"value":[{}]}"#, 9).err(), Some("has no action id"));
    }

    #[test]
    fn records_come_one_by_one_with_id_and_state() {
        let mut seen = Vec::new();
        let end = each(two().as_bytes(), 2, &|_| {}, &mut |listed| {
            seen.push((listed.id, listed.status.clone(), listed.action()?.json().len()));
            Ok(())
        });
        let end = end.unwrap();
        assert_eq!((end.records, end.next.as_deref()), (2, Some("https://h/api/x?$skip=2")));
        let id = guid::number(ID).unwrap();
        assert_eq!(
            seen,
            [
                (id, ActionStatus::Other(String::new()), ID.len() + 9),
                (id, ActionStatus::Failed, ID.len() + 27)
            ]
        );
        let refused = each(two().as_bytes(), 2, &|_| {}, &mut |_| Err("is refused"));
        assert_eq!(refused.err(), Some("is refused"));
        assert_eq!(each(two().as_bytes(), 1, &|_| {}, &mut |_| Ok(())).err(), Some(TOO_MANY));
    }

    /// A record without a usable id is the same problem, whichever way it is read.
    #[test]
    fn both_ways_refuse_the_same_records() {
        for record in ["{}", "[]", "7", r#"["a"]"#, r#"{"id":"x"}"#, r#"{"id":null}"#, "null"] {
            let page = format!(r#"{{"value":[{record}]}}"#);
            let whole = Page::from_slice(page.as_bytes(), 9, &|_| {}).err();
            let listed = each(page.as_bytes(), 9, &|_| {}, &mut |_| Ok(())).err();
            assert_eq!((whole.is_some(), listed), (true, whole), "{record}");
        }
    }

    #[test]
    fn a_secret_in_the_name_of_a_state_is_masked() {
        let page = format!(r#"{{"value":[{{"id":"{ID}","status":"odd secret-1"}}]}}"#);
        let mask = |text: &mut String| crate::text::redact::mask(text, &["secret-1"]);
        let mut names = Vec::new();
        each(page.as_bytes(), 9, &mask, &mut |listed| {
            names.push(listed.status.name().to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(names, ["odd ***"]);
    }
}
