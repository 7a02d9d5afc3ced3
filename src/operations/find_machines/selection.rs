//! Selections of devices, such as `tag:DMZ and not os:Linux`: conditions, all of which hold.
//!
//! The service filters by tag and by platform. It does not filter by the name of a group, only by a number that people
//! do not know, and no operation lists the groups. So names of groups are compared here. So are all conditions after
//! `not`, without regard to letter case: a device that is to be left out must not slip in because of it.

use crate::service::machine::Machine;

/// The conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection<'a>(Vec<Term<'a>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term<'a> {
    kind: Kind,
    not: bool,
    value: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tag,
    Os,
    Group,
    /// A filter in the service's own language, OData.
    Filter,
}

impl<'a> Selection<'a> {
    /// Reads a selection. `None`: the text does not begin as one. The error completes "the query …".
    pub(super) fn parse(text: &'a str) -> Option<Result<Selection<'a>, &'static str>> {
        let mut start = Start::of(text)?;
        let mut terms = Vec::new();
        loop {
            let Some(kind) = start.kind() else {
                return Some(Err(
                    "has a condition that is none of `tag:`, `os:`, `group:`, `filter:`",
                ));
            };
            let (value, next) = match kind {
                Kind::Filter => (start.rest, None),
                _ => split(start.rest),
            };
            let value = value.trim();
            if value.is_empty() {
                return Some(Err("has a condition without a value"));
            }
            // The conditions are joined with `and`. `a) or (b` would be more than one of them.
            if kind == Kind::Filter && !is_balanced(value) {
                return Some(Err(
                    "has a filter whose parentheses or quotation marks are not in pairs",
                ));
            }
            terms.push(Term { kind, not: start.not, value });
            let Some(next) = next else { return Some(Ok(Selection(terms))) };
            match Start::of(next) {
                Some(next) => start = next,
                None => return Some(Err("has something else than a condition after `and`")),
            }
        }
    }

    /// The part that the service filters. Empty: it sends all devices.
    pub(super) fn filter(&self) -> String {
        let quoted = |value: &str| value.replace('\'', "''");
        let parts: Vec<String> = self
            .0
            .iter()
            .filter_map(|Term { kind, not, value }| match (kind, not) {
                (Kind::Tag, false) => {
                    Some(format!("machineTags/any(tag: tag eq '{}')", quoted(value)))
                }
                (Kind::Os, false) => Some(format!("osPlatform eq '{}'", quoted(value))),
                (Kind::Filter, false) if self.0.len() == 1 => Some((*value).to_owned()),
                (Kind::Filter, false) => Some(format!("({value})")),
                (Kind::Filter, true) => Some(format!("not ({value})")),
                _ => None,
            })
            .collect();
        parts.join(" and ")
    }

    /// Whether the conditions hold that the service does not filter by.
    pub(super) fn accepts(&self, machine: &Machine<'_>) -> bool {
        self.0.iter().all(|term| {
            let is_value = |text: &str| same(text, term.value);
            match (term.kind, term.not) {
                (Kind::Group, not) => machine.group().is_some_and(is_value) != not,
                (Kind::Os, true) => !machine.os_platform().is_some_and(is_value),
                (Kind::Tag, true) => !machine.has_tag(&is_value),
                _ => true,
            }
        })
    }
}

/// The beginning of a condition.
struct Start<'a> {
    not: bool,
    name: &'a str,
    rest: &'a str,
}

impl<'a> Start<'a> {
    fn of(text: &'a str) -> Option<Start<'a>> {
        let after_not = after_not(text);
        let (name, rest) = after_not.unwrap_or(text).trim_start().split_once(':')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        is_name.then_some(Start { not: after_not.is_some(), name, rest })
    }

    fn kind(&self) -> Option<Kind> {
        let names = [
            ("tag", Kind::Tag),
            ("os", Kind::Os),
            ("group", Kind::Group),
            ("filter", Kind::Filter),
        ];
        names.into_iter().find(|(name, _)| self.name.eq_ignore_ascii_case(name)).map(|(_, it)| it)
    }
}

/// The text after the word `not`.
fn after_not(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once(' ')?;
    word.eq_ignore_ascii_case("not").then_some(rest)
}

/// The value at the beginning, and the condition after it. Tags and groups may have ` and ` in their names. It joins
/// conditions if `not` or a word with a colon follows.
fn split(text: &str) -> (&str, Option<&str>) {
    const AND: &str = " and ";
    for (at, _) in text.match_indices(' ') {
        let Some((value, rest)) = text.split_at_checked(at) else { continue };
        let Some((and, next)) = rest.split_at_checked(AND.len()) else { continue };
        let next = next.trim_start();
        let joins = |next: &str| {
            after_not(next).is_some() || next.split(' ').next().is_some_and(|it| it.contains(':'))
        };
        if and.eq_ignore_ascii_case(AND) && joins(next) {
            return (value, Some(next));
        }
    }
    (text, None)
}

/// Whether each parenthesis of a filter has its other one, and each text its end. `'` within a text is written `''`.
fn is_balanced(filter: &str) -> bool {
    let (mut is_text, mut depth) = (false, 0_usize);
    for byte in filter.bytes() {
        match byte {
            b'\'' => is_text = !is_text,
            b'(' if !is_text => depth += 1,
            b')' if !is_text => match depth.checked_sub(1) {
                Some(outside) => depth = outside,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0 && !is_text
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Selection<'_> {
        Selection::parse(text).unwrap().unwrap()
    }

    #[test]
    fn the_service_filters_what_it_can() {
        for (query, filter) in [
            ("tag:DMZ", "machineTags/any(tag: tag eq 'DMZ')"),
            ("TAG: DMZ ", "machineTags/any(tag: tag eq 'DMZ')"),
            ("tag:it's", "machineTags/any(tag: tag eq 'it''s')"),
            (
                "tag:Research and Development",
                "machineTags/any(tag: tag eq 'Research and Development')",
            ),
            (
                "tag:Research and Development AND os:Linux",
                "machineTags/any(tag: tag eq 'Research and Development') and osPlatform eq 'Linux'",
            ),
            ("tag:a and not tag:b", "machineTags/any(tag: tag eq 'a')"),
            ("group:Servers", ""),
            ("not os:Linux", ""),
            ("filter:riskScore eq 'High' or x", "riskScore eq 'High' or x"),
            ("os:Linux and filter:a eq 1 or b", "osPlatform eq 'Linux' and (a eq 1 or b)"),
            ("filter:a eq 'b' and tag:c", "a eq 'b' and tag:c"),
            ("not filter:a or b", "not (a or b)"),
            ("not filter:(a) or (b)", "not ((a) or (b))"),
            (
                "filter:contains(a, ':-)') and b eq 'it''s ('",
                "contains(a, ':-)') and b eq 'it''s ('",
            ),
            ("tag:ä and os:ö", "machineTags/any(tag: tag eq 'ä') and osPlatform eq 'ö'"),
        ] {
            assert_eq!(parse(query).filter(), filter, "{query}");
        }
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for none in ["", "DMZ", "not DMZ", "a.b:c", ":x", "not :x", "and tag:x"] {
            assert_eq!(Selection::parse(none), None, "{none}");
        }
        for bad in [
            "tags:DMZ",
            "nottag:DMZ",
            "tag:",
            "tag: and os:Linux",
            "tag:a and os:",
            "filter: ",
            "tag:a and not Linux",
            "tag:a and platform:Linux",
            "tag:a and b.c:d",
            "tag:a and not not tag:b",
            "tag:a and filter:b) or (c",
            "not filter:b) or (c",
            "filter:a eq '(') or (b",
            "filter:(a",
            "filter:a eq 'b",
            "filter:a eq 'it's)'",
        ] {
            assert!(Selection::parse(bad).unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_service_cannot_filter_is_compared_here() {
        let json = r#"{"id":"49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9","osPlatform":"Linux",
            "machineTags":["Research \u0026 more","München",7,null],"rbacGroupName":"Servers"}"#;
        let device = Machine::from_json(json).unwrap();
        for (query, accepted) in [
            ("group:servers", true),
            ("group:Server", false),
            ("not group:SERVERS", false),
            ("not group:Clients", true),
            ("not os:linux", false),
            ("not os:macOS", true),
            ("not tag:MÜNCHEN", false),
            ("not tag:research & More", false),
            ("not tag:Munich", true),
            ("not tag:7", true),
            ("not tag:Munich and group:servers", true),
            ("not tag:Munich and group:clients", false),
            // The service has filtered by these.
            ("tag:Munich and os:macOS", true),
            ("filter:x", true),
        ] {
            assert_eq!(parse(query).accepts(&device), accepted, "{query}");
        }
        let device = r#"{"id":"49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9","machineTags":"x"}"#;
        let device = Machine::from_json(device).unwrap();
        for (query, accepted) in
            [("not os:x", true), ("not tag:x", true), ("not group:x", true), ("group:x", false)]
        {
            assert_eq!(parse(query).accepts(&device), accepted, "{query}");
        }
    }
}
