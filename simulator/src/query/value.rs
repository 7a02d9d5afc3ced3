//! The kinds of values that members have, and how they compare.

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use crate::ids;

/// The kind of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Guid,
    /// Compared by its position, which follows the numbers of the service's metadata.
    Enum(&'static [&'static str]),
    Time,
    Number,
    Flag,
    /// A collection of texts, in which a filter can look for one.
    Texts,
    /// An object or another collection: can be selected, not compared.
    Whole,
}

/// A value of one of these kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Null,
    Text(String),
    Position(usize),
    Time(Timestamp),
    Number(f64),
    Flag(bool),
}

/// A constant in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// In single quotes, which are removed.
    Quoted(String),
    /// Anything else.
    Bare(String),
}

impl Operand {
    /// A total order with null first. Values of different kinds are never compared.
    pub fn order(&self, other: &Operand) -> Ordering {
        match (self, other) {
            (Operand::Null, Operand::Null) => Ordering::Equal,
            (Operand::Null, _) => Ordering::Less,
            (_, Operand::Null) => Ordering::Greater,
            (Operand::Text(a), Operand::Text(b)) => a.cmp(b),
            (Operand::Position(a), Operand::Position(b)) => a.cmp(b),
            (Operand::Time(a), Operand::Time(b)) => a.cmp(b),
            (Operand::Number(a), Operand::Number(b)) => a.total_cmp(b),
            (Operand::Flag(a), Operand::Flag(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

fn position(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|n| *n == name)
}

impl Kind {
    /// The value of a member.
    pub fn of(self, value: &Value) -> Operand {
        let text = value.as_str();
        match self {
            Kind::Text => text.map(|t| Operand::Text(t.to_owned())),
            Kind::Guid => text.map(|t| Operand::Text(t.to_ascii_lowercase())),
            Kind::Enum(names) => text.and_then(|t| position(names, t)).map(Operand::Position),
            Kind::Time => text.and_then(|t| t.parse().ok()).map(Operand::Time),
            Kind::Number => value.as_f64().map(Operand::Number),
            Kind::Flag => value.as_bool().map(Operand::Flag),
            Kind::Texts | Kind::Whole => None,
        }
        .unwrap_or(Operand::Null)
    }

    /// The value of a constant that is compared with a member of this kind.
    pub fn read(self, literal: &Literal) -> Result<Operand, String> {
        let read = match (self, literal) {
            (_, Literal::Bare(word)) if word == "null" => Some(Operand::Null),
            (Kind::Text, Literal::Quoted(text)) => Some(Operand::Text(text.clone())),
            (Kind::Guid, Literal::Quoted(text) | Literal::Bare(text)) if ids::is_guid(text) => {
                Some(Operand::Text(text.to_ascii_lowercase()))
            }
            (Kind::Enum(names), Literal::Quoted(name)) => {
                let at = position(names, name).ok_or_else(|| {
                    format!("The string '{name}' is not a valid enumeration type constant.")
                })?;
                Some(Operand::Position(at))
            }
            (Kind::Time, Literal::Bare(text)) => time(text).map(Operand::Time),
            (Kind::Number, Literal::Bare(text)) => text.parse().ok().map(Operand::Number),
            (Kind::Flag, Literal::Bare(text)) => text.parse().ok().map(Operand::Flag),
            _ => None,
        };
        read.ok_or_else(|| {
            let found = match literal {
                Literal::Quoted(text) => format!("'{text}' of type 'Edm.String'"),
                Literal::Bare(text) => text.clone(),
            };
            format!(
                "A binary operator with incompatible types was detected. Found operand {found} \
                 beside type '{}'.",
                self.edm()
            )
        })
    }

    fn edm(self) -> &'static str {
        match self {
            Kind::Text => "Edm.String",
            Kind::Guid => "Edm.Guid",
            Kind::Enum(_) => "Edm.Enum",
            Kind::Time => "Edm.DateTimeOffset",
            Kind::Number => "Edm.Int64",
            Kind::Flag => "Edm.Boolean",
            Kind::Texts => "Collection(Edm.String)",
            Kind::Whole => "Collection",
        }
    }
}

/// An instant. A day means its beginning in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let day = || {
        let date: Date = text.parse().ok().filter(|_| text.len() == 10)?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(day)
}
