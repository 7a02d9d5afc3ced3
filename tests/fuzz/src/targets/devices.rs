//! What a caller passes to the functions for many devices: a list of devices, or a query for them.

use mde::{Devices, fuzz_hooks};

use super::check_error;
use super::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let is_query = input.byte() & 1 == 1;
    let text = String::from_utf8_lossy(input.rest());
    let read = match is_query {
        true => fuzz_hooks::query(&text),
        false => Devices::from_json(&text).map(drop),
    };
    match read {
        Err(error) => check_error(&error),
        Ok(()) if is_query => assert!(!text.trim().is_empty()),
        Ok(()) => drop(serde_json::from_str::<serde_json::Value>(&text).expect("JSON")),
    }
}
