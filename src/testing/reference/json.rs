//! `docs/json.md`: every document that a function returns, generated from `docs/schema.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{cell, check};

const SCHEMA: &str = include_str!("../../../docs/schema.json");

const INTRODUCTION: &str = "# JSON reference\n\n\
    Every function with an `out_json` returns one document, on success and on failure. `mde_options_set`, \
    `mde_options_set_json` and `mde_client_new` return one on failure alone. Later versions may add members, so readers \
    must ignore unknown ones. No member is removed or changes its type. A member that does not apply is absent, never \
    null. `mde_json_get` reads documents without a JSON library.\n\n\
    Generated from [schema.json](schema.json) (JSON Schema 2020-12), with which the tests compare real documents.\n\n\
    | document | from |\n|---|---|\n";

/// Functions that return no document on success.
const FAILURES_ALONE: [&str; 3] = ["mde_options_set", "mde_options_set_json", "mde_client_new"];

/// A named part of the schema.
#[derive(Deserialize)]
struct Definition {
    /// Raw, because the page shows them as the schema writes them.
    #[serde(default)]
    examples: Vec<Box<RawValue>>,
    #[serde(flatten)]
    shape: Value,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "$defs")]
    definitions: BTreeMap<String, Box<RawValue>>,
    #[serde(rename = "oneOf")]
    documents: Vec<Value>,
}

fn text<'a>(shape: &'a Value, member: &str) -> &'a str {
    shape[member].as_str().unwrap_or_default()
}

/// The name at the end of a reference.
fn referenced(shape: &Value) -> Option<&str> {
    shape["$ref"].as_str()?.rsplit('/').next()
}

/// The text, with names of functions and constants set as code.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (n, word) in text.split(' ').enumerate() {
        let bare = word.trim_end_matches([',', '.', ':', ';']);
        let gap = if n > 0 { " " } else { "" };
        match bare.starts_with("mde_") || bare.starts_with("MDE_") {
            true => write!(out, "{gap}`{bare}`{}", &word[bare.len()..]).unwrap(),
            false => write!(out, "{gap}{word}").unwrap(),
        }
    }
    out
}

/// The type of a value, in a few words.
fn kind(shape: &Value) -> String {
    if let Some(name) = referenced(shape) {
        return format!("[{name}](#{name})");
    }
    if let Some(of) = shape["allOf"].as_array() {
        let required: Vec<_> = of.iter().flat_map(names).collect();
        return format!("{}, always with {}", kind(&of[0]), required.join(" and "));
    }
    if let Some(of) = shape["anyOf"].as_array() {
        return of.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = shape["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    if !shape["const"].is_null() {
        return format!("`{}`", shape["const"]);
    }
    match text(shape, "type") {
        "array" => format!("array of {}", kind(&shape["items"])),
        "" => "any".to_owned(),
        other => other.to_owned(),
    }
}

fn names(shape: &Value) -> Vec<String> {
    let required = shape["required"].as_array().into_iter().flatten();
    required.map(|name| format!("`{}`", name.as_str().unwrap())).collect()
}

/// One row for each member, required members first. Members of unnamed objects follow their parent.
fn rows(out: &mut String, shape: &Value, path: &str) {
    let required = names(shape);
    let is_required = |name: &str| required.contains(&format!("`{name}`"));
    let Some(members) = shape["properties"].as_object() else { return };
    // The order of a map differs between builds.
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(name, _)| {
        (required.iter().position(|one| *one == format!("`{name}`")).unwrap_or(usize::MAX), *name)
    });
    for (name, member) in sorted {
        let always = if is_required(name) { "yes" } else { "" };
        let about = cell(&prose(text(member, "description")));
        writeln!(out, "| `{path}{name}` | {} | {always} | {about} |", cell(&kind(member))).unwrap();
        rows(out, member, &format!("{path}{name}."));
        rows(out, &member["items"], &format!("{path}{name}[]."));
    }
}

/// The text of an example, moved to the left margin.
fn example(raw: &str) -> String {
    let indented = raw.lines().skip(1).filter(|line| !line.trim().is_empty());
    let margin = indented.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let line = |(n, line): (usize, &str)| match n {
        0 => line.to_owned(),
        _ => line.get(margin..).unwrap_or_default().to_owned(),
    };
    raw.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn section(out: &mut String, name: &str, raw: &RawValue) {
    let definition: Definition = serde_json::from_str(raw.get()).unwrap();
    let shape = &definition.shape;
    writeln!(out, "\n## {name}\n").unwrap();
    let about = prose(text(shape, "description"));
    if !about.is_empty() {
        let end = if about.ends_with('.') { "" } else { "." };
        writeln!(out, "{about}{end}\n").unwrap();
    }
    if shape["allOf"].is_array() {
        writeln!(out, "{}.", kind(shape)).unwrap();
    } else {
        out.push_str("| member | what it is | always there | |\n|---|---|---|---|\n");
        rows(out, shape, "");
        if shape["additionalProperties"] != Value::Bool(false) {
            out.push_str("\nAnd all other members that the service sent.\n");
        }
    }
    for raw in &definition.examples {
        writeln!(out, "\n```json\n{}\n```", example(raw.get())).unwrap();
    }
}

fn schema() -> (Named, Vec<String>) {
    let named: Named = serde_json::from_str(SCHEMA).unwrap();
    let documents =
        named.documents.iter().map(|one| referenced(one).unwrap().to_owned()).collect::<Vec<_>>();
    (named, documents)
}

#[test]
fn json_page() {
    let (Named { definitions, .. }, documents) = schema();
    let mut out = String::from(INTRODUCTION);
    for name in &documents {
        let shape: Value = serde_json::from_str(definitions[name].get()).unwrap();
        let about = cell(&prose(text(&shape, "description")));
        writeln!(out, "| [{name}](#{name}) | {about} |").unwrap();
    }
    let parts = definitions.keys().filter(|name| !documents.contains(name));
    for name in documents.iter().chain(parts) {
        section(&mut out, name, &definitions[name]);
    }
    check("json.md", &out);
}

#[test]
fn every_function_has_its_document() {
    let header = include_str!("../../../include/mde.h");
    let (Named { definitions, .. }, documents) = schema();
    let abouts: Vec<Value> = documents
        .iter()
        .map(|name| serde_json::from_str(definitions[name].get()).unwrap())
        .collect();
    let mut count = 0;
    for declaration in header.split("MDE_API").filter(|part| part.contains("char **out_json)")) {
        let (before, _) = declaration.split_once('(').unwrap();
        let function = before.rsplit(' ').next().unwrap();
        let has = |about: &&Value| {
            let mut words = text(about, "description").split([' ', ',', '.', ':']);
            words.any(|word| word == function)
        };
        let wanted = usize::from(!FAILURES_ALONE.contains(&function));
        assert_eq!(abouts.iter().filter(has).count(), wanted, "{function} in docs/schema.json");
        count += 1;
    }
    assert!(count > 10, "{count} functions with out_json");
}
