//! OData query options over a collection: `$filter`, `$orderby`, `$top`, `$skip`, `$select`,
//! `$count`.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/exposed-apis-odata-samples>

mod filter;
mod value;

use std::borrow::Cow;
use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::errors;
use crate::form;
use crate::reply::Reply;
pub use value::Kind;
use value::Operand;

/// An entity of a collection.
pub trait Entity {
    /// A member; null if it has none of this name.
    fn member(&self, name: &str) -> Cow<'_, Value>;

    /// All of it.
    fn whole(&self) -> Value;
}

/// A collection that can be queried.
pub struct Schema {
    /// Name of the entity set.
    pub name: &'static str,
    /// Name of the type, for messages.
    pub type_name: &'static str,
    pub members: &'static [Member],
}

/// A member of an entity.
pub struct Member {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether `$filter` may use it.
    filterable: bool,
}

impl Member {
    pub const fn filterable(name: &'static str, kind: Kind) -> Self {
        Member { name, kind, filterable: true }
    }

    pub const fn other(name: &'static str, kind: Kind) -> Self {
        Member { name, kind, filterable: false }
    }
}

impl Schema {
    fn member(&self, name: &str) -> Result<&'static Member, String> {
        self.members.iter().find(|m| m.name == name).ok_or_else(|| {
            format!("Could not find a property named '{name}' on type '{}'.", self.type_name)
        })
    }

    fn filter_member(&self, name: &str) -> Result<&'static Member, String> {
        let member = self.member(name)?;
        if member.filterable {
            Ok(member)
        } else {
            Err(format!("The property '{name}' cannot be used in the $filter query option."))
        }
    }
}

/// The answer to a query.
pub struct Page {
    /// How many entries passed the filter.
    pub matched: usize,
    /// The body to send.
    pub body: Value,
}

/// The address of the metadata. As in the service, its host is not the one that was called, so a
/// client must not take its base address from here.
pub fn context(fragment: &str) -> String {
    format!("https://api-eu.securitycenter.microsoft.com/api/$metadata#{fragment}")
}

/// An entity with its context in front.
pub fn in_context(fragment: &str, entity: &Value) -> Value {
    let mut whole = Map::new();
    whole.insert("@odata.context".to_owned(), context(fragment).into());
    if let Value::Object(members) = entity {
        whole.extend(members.clone());
    }
    Value::Object(whole)
}

#[derive(Default)]
struct Options {
    filter: Option<filter::Expression>,
    order: Vec<(&'static Member, bool)>,
    top: Option<usize>,
    skip: usize,
    select: Vec<&'static Member>,
    count: bool,
}

/// Most entries that `$top` may ask for.
const MOST: usize = 10_000;

fn options(schema: &Schema, query: &str) -> Result<Options, Reply> {
    let mut options = Options::default();
    for (name, value) in form::pairs(query) {
        let parsed = match name.to_ascii_lowercase().as_str() {
            "$filter" => filter::parse(schema, &value).map(|f| options.filter = Some(f)),
            "$orderby" => order(schema, &value).map(|o| options.order = o),
            "$top" => number("$top", &value).and_then(|n| {
                options.top = Some(n);
                if n <= MOST {
                    return Ok(());
                }
                Err(format!(
                    "The limit of '{MOST}' for Top query has been exceeded. The value from the \
                     incoming request is '{n}'."
                ))
            }),
            "$skip" => number("$skip", &value).map(|n| options.skip = n),
            "$count" => match value.to_ascii_lowercase().as_str() {
                "true" => {
                    options.count = true;
                    Ok(())
                }
                "false" => Ok(()),
                _ => Err(format!("'{value}' is not a valid count option.")),
            },
            "$select" => value
                .split(',')
                .map(|name| schema.member(name.trim()))
                .collect::<Result<_, _>>()
                .map(|s| options.select = s),
            other if other.starts_with('$') => return Err(errors::unsupported_option(&name)),
            _ => Ok(()),
        };
        parsed.map_err(|why| errors::bad_query(&why))?;
    }
    Ok(options)
}

fn number(name: &str, value: &str) -> Result<usize, String> {
    value.trim().parse().map_err(|_| {
        format!(
            "Invalid value '{value}' for {name} query option found. The {name} query option \
             requires a non-negative integer value."
        )
    })
}

fn order(schema: &Schema, value: &str) -> Result<Vec<(&'static Member, bool)>, String> {
    value
        .split(',')
        .map(|part| {
            let mut words = part.split_ascii_whitespace();
            let member = schema.member(words.next().unwrap_or_default())?;
            let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(_) => return Err(format!("Syntax error in '$orderby': '{value}'.")),
            };
            if words.next().is_some() || matches!(member.kind, Kind::Texts | Kind::Whole) {
                return Err(format!("Syntax error in '$orderby': '{value}'."));
            }
            Ok((member, descending))
        })
        .collect()
}

/// Answers a query over `items`. `url` is where it was asked, for the link to the next page.
pub fn list<E: Entity>(
    schema: &Schema,
    items: impl Iterator<Item = E>,
    query: &str,
    url: &str,
    page_size: usize,
) -> Result<Page, Reply> {
    let options = options(schema, query)?;
    let keys = |item: &E| -> Vec<Operand> {
        options.order.iter().map(|(member, _)| member.kind.of(&item.member(member.name))).collect()
    };
    let mut matches: Vec<(Vec<Operand>, E)> = items
        .filter(|item| options.filter.as_ref().is_none_or(|filter| filter.accepts(item)))
        .map(|item| (keys(&item), item))
        .collect();
    matches.sort_by(|(a, _), (b, _)| {
        let keys = options.order.iter().zip(a.iter().zip(b));
        keys.fold(Ordering::Equal, |so_far, ((_, descending), (a, b))| {
            so_far.then_with(|| if *descending { b.order(a) } else { a.order(b) })
        })
    });
    let matched = matches.len();
    let wanted = options.top.unwrap_or(usize::MAX);
    let size = wanted.min(page_size.max(1));
    let rest = matched.saturating_sub(options.skip).min(wanted);
    let page: Vec<Value> = matches
        .into_iter()
        .skip(options.skip)
        .take(size)
        .map(|(_, item)| selected(&item, &options.select))
        .collect();

    let mut body = Map::new();
    let names: Vec<_> = options.select.iter().map(|member| member.name).collect();
    let fragment = if names.is_empty() {
        schema.name.to_owned()
    } else {
        format!("{}({})", schema.name, names.join(","))
    };
    body.insert("@odata.context".to_owned(), context(&fragment).into());
    if options.count {
        body.insert("@odata.count".to_owned(), matched.into());
    }
    let more = rest > page.len();
    body.insert("value".to_owned(), json!(page));
    if more {
        let top = options.top.map(|top| top - size);
        let link = format!("{url}?{}", next_query(query, options.skip + size, top));
        body.insert("@odata.nextLink".to_owned(), link.into());
    }
    Ok(Page { matched, body: Value::Object(body) })
}

fn selected(item: &impl Entity, members: &[&Member]) -> Value {
    if members.is_empty() {
        return item.whole();
    }
    let part = members
        .iter()
        .map(|member| (member.name.to_owned(), item.member(member.name).into_owned()));
    Value::Object(part.collect())
}

fn next_query(query: &str, skip: usize, top: Option<usize>) -> String {
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'$').remove(b'-').remove(b'.').remove(b'_');
    let encode = |text: &str| utf8_percent_encode(text, KEEP).to_string();
    let mut parts: Vec<String> = form::pairs(query)
        .filter(|(name, _)| !["$skip", "$top"].contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| format!("{}={}", encode(&name), encode(&value)))
        .collect();
    parts.extend(top.map(|top| format!("$top={top}")));
    parts.push(format!("$skip={skip}"));
    parts.join("&")
}

#[cfg(test)]
mod tests;
