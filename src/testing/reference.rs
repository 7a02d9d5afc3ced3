//! Generated reference pages: `docs/options.md` and `docs/status.md` come from the tables in the code, `docs/json.md`
//! from the schema. `docs/troubleshooting.md` is written by hand and compared with the table.
//!
//! `MDE_UPDATE_DOCS=1 cargo test -p mde --lib reference` writes the pages. Without the variable the tests compare them.

mod fleet;
mod json;

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::options::{Preset, TABLE};
use crate::status::Status;

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("MDE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is out of date. Refresh it: MDE_UPDATE_DOCS=1 cargo test -p mde --lib reference"
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// As in the header.
fn constant(status: Status) -> String {
    match status.code() {
        0 => "MDE_OK".to_owned(),
        _ => format!("MDE_ERR_{}", status.name().to_uppercase()),
    }
}

#[cfg(feature = "header")]
#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/mde.h"));
    assert!(
        include_str!("../../include/mde.h") == generated,
        "include/mde.h is out of date. Refresh it: MDE_UPDATE_HEADER=1 cargo build --features header"
    );
}

#[test]
fn options_page() {
    let mut text = String::from(
        "# Options\n\n\
         Set with `mde_options_set(options, name, value, &json)`, or many at once with \
         `mde_options_set_json`. Each value is checked when it is set. `mde_client_new` reports options that \
         contradict each other. A refused value changes nothing, so check the result of each call. Generated from \
         the table in `src/options/table.rs`.\n\n\
         | option | what it is | accepts | default |\n|---|---|---|---|\n",
    );
    for spec in TABLE {
        let default = match spec.preset {
            Preset::Value(text) | Preset::Rule(text) => text,
            Preset::Nothing => "not set",
        };
        writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            spec.name,
            cell(spec.about),
            cell(spec.accepts),
            cell(default)
        )
        .unwrap();
    }
    check("options.md", &text);
}

#[test]
fn status_page() {
    let mut text = String::from(
        "# Status codes\n\n\
         Every function that can fail returns one of these. A failure document repeats it as `status` and `name`. \
         Later versions may add codes, but never change or remove one. Generated from the table in `src/status.rs`.\n\n\
         | code | constant | name | meaning |\n|---|---|---|---|\n",
    );
    for status in Status::ALL {
        let constant = constant(*status);
        let (code, name, meaning) = (status.code(), status.name(), cell(status.meaning()));
        writeln!(text, "| {code} | `{constant}` | `{name}` | {meaning} |").unwrap();
    }
    check("status.md", &text);
}

/// Every status has its section, in the table's order. The section begins with the status's meaning.
#[test]
fn troubleshooting_page() {
    let page = include_str!("../../docs/troubleshooting.md");
    let sections: Vec<(&str, &str)> =
        page.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let heading = |status: &&Status| format!("`{}` ({})", constant(**status), status.code());
    let failures = Status::ALL.iter().filter(|status| status.code() != 0);
    let wanted: Vec<_> = failures.clone().map(|status| heading(&status)).collect();
    let found: Vec<_> = sections.iter().map(|(title, _)| (*title).to_owned()).collect();
    assert_eq!(found, wanted, "left: docs/troubleshooting.md, right: src/status.rs");
    for (status, (title, body)) in failures.zip(sections) {
        let rest = body.trim_start().strip_prefix(status.meaning());
        let rest =
            rest.unwrap_or_else(|| panic!("{title} does not begin with: {}", status.meaning()));
        for part in ["\n- Causes: ", "\n- What to do: "] {
            assert!(rest.contains(part), "{title} lacks `{}`", part.trim());
        }
    }
}

/// The failure document of `docs/contract.md` shows every member that the schema defines.
#[test]
fn contract_page() {
    let page = include_str!("../../docs/contract.md");
    let (_, shown) = page.split_once("```json\n").unwrap();
    let shown: serde_json::Value =
        serde_json::from_str(shown.split("```").next().unwrap()).unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/schema.json")).unwrap();
    let members = schema["$defs"]["error"]["properties"].as_object().unwrap();
    let lacks: Vec<_> = members.keys().filter(|name| shown["error"].get(name).is_none()).collect();
    assert!(lacks.is_empty(), "docs/contract.md lacks {lacks:?}");
}

/// Every page is in the index.
#[test]
fn the_index_names_every_page() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    let index = include_str!("../../docs/README.md");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names.map(|name| name.into_string().unwrap()) {
        let is_page = name.ends_with(".md") && name != "README.md";
        assert!(!is_page || index.contains(&format!("({name})")), "docs/README.md lacks {name}");
    }
}

/// The rows of a table that stands behind this line: the cells of each, freed of blanks and code marks.
fn table<'a>(page: &'a str, behind: &str) -> Vec<Vec<&'a str>> {
    let (_, rest) = page.split_once(behind).unwrap();
    let lines = rest.trim_start().lines().skip_while(|line| !line.starts_with("|---"));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_deployment_page_names_the_download_hosts() {
    let page = include_str!("../../docs/deployment.md");
    let rows = table(page, "held against src/service/hosts.rs");
    let named: Vec<&str> = rows.iter().flat_map(|row| row[1].split(", ")).collect();
    let wanted: Vec<String> = crate::service::hosts::DEFAULT
        .split(',')
        .map(|host| format!("`{}`", host.trim()))
        .collect();
    assert_eq!(named, wanted, "left: docs/deployment.md, right: src/service/hosts.rs");
}

/// The page names the same permissions as the comment of each function in the header.
#[test]
fn the_deployment_page_names_the_permissions() {
    let header = include_str!("../../include/mde.h");
    let page = include_str!("../../docs/deployment.md");
    let mut count = 0;
    for row in table(page, "## Permissions in Entra") {
        for function in row[0].split(", ").map(|name| name.trim_matches('`')) {
            let (before, _) = header.split_once(&format!("mde_status {function}(")).unwrap();
            let comment = before.rsplit("/**").next().unwrap();
            for (cell, permission) in
                row[1..].iter().zip(["Machine.CollectForensics", "Machine.Read.All"])
            {
                let is_needed = cell.starts_with("yes");
                assert_eq!(is_needed, comment.contains(permission), "{function}: {permission}");
            }
            count += 1;
        }
    }
    let operations = header.matches("const mde_client *client").count();
    assert_eq!(
        count,
        operations + 1,
        "functions on a client but mde_client_shutdown, mde_inspect_package and mde_read_packages"
    );
}
