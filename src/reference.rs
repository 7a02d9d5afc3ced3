//! The reference pages `docs/options.md` and `docs/status.md` are made from the tables in the code.
//!
//! `MDE_UPDATE_DOCS=1 cargo test -p mde --lib reference` writes them; without it they are compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::Status;
use crate::options::TABLE;

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("MDE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/{name} is not what the code says; run: MDE_UPDATE_DOCS=1 cargo test -p mde --lib reference"
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn options_page() {
    let mut text = String::from(
        "# Options\n\n\
         Set with `mde_options_set(options, name, value, &json)`, or many at once with \
         `mde_options_set_json`. A value is checked when it is set; what does not fit together is told by \
         `mde_client_new`. A refused value changes nothing, so look at the result before going on. Made from the table in `src/options/table.rs`.\n\n\
         | option | what it is | accepts | default |\n|---|---|---|---|\n",
    );
    for spec in TABLE {
        let default = if spec.default.is_empty() { "not set" } else { spec.default };
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
         Every function that can fail returns one of these; a failure document repeats it as `status` and \
         `name`. Codes are only ever added. Made from the table in `src/status.rs`.\n\n\
         | code | constant | name | meaning |\n|---|---|---|---|\n",
    );
    for status in Status::ALL {
        let constant = match status.code() {
            0 => "MDE_OK".to_owned(),
            _ => format!("MDE_ERR_{}", status.name().to_uppercase()),
        };
        let (code, name, meaning) = (status.code(), status.name(), cell(status.meaning()));
        writeln!(text, "| {code} | `{constant}` | `{name}` | {meaning} |").unwrap();
    }
    check("status.md", &text);
}
