//! Options: `which option | value`, or a JSON object of options.

use std::sync::LazyLock;

use mde::Options;
use serde_json::json;

use super::input::Input;
use super::{SECRET, check_error};

/// The message for an unknown option has the names of all.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let error = Options::new().set("?", "").expect_err("there is no such option");
    let names = error.message().split("expected one of ").nth(1).expect("the list of names");
    names.split(", ").map(str::to_owned).collect()
});

/// Making them takes longer than what is tried with them.
static OPTIONS: LazyLock<Options> = LazyLock::new(Options::new);

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = usize::from(input.byte());
    let value = String::from_utf8_lossy(input.rest());
    match NAMES.get(which) {
        Some(name) => set(name, &value),
        None if which == 0xfe => set(&value, ""),
        None => set_json(&value),
    }
}

fn set(name: &str, value: &str) {
    let set = OPTIONS.clone().set(name, value);
    let as_json = OPTIONS.clone().set_json(&json!({name: value}).to_string());
    match (&set, &as_json) {
        (Ok(()), Ok(())) => {}
        (Err(one), Err(other)) => assert_eq!(one.message(), other.message()),
        _ => panic!("{name}: {set:?} and {as_json:?}"),
    }
    if let Err(error) = &set {
        check_error(error);
    }
    // No error repeats a value, which may be a secret in the wrong place.
    let secret = OPTIONS.clone().set(name, &format!("{SECRET}{value}\u{1}"));
    if let Err(error) = secret {
        assert!(!error.message().contains(SECRET), "{error}");
    }
}

fn set_json(json: &str) {
    let mut options = OPTIONS.clone();
    let set = options.set_json(json);
    if let Err(error) = &set {
        check_error(error);
    }
    if set.is_ok() {
        // What was accepted once is accepted again, and is an object.
        options.set_json(json).expect("the same again");
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert!(value.is_object());
    }
}
