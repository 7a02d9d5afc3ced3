//! `docs/schema.json`: what it says of the documents holds for those that the pages show.

use std::fs;

use mde_tests::programs::ROOT;
use serde_json::Value;

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{ROOT}/docs/schema.json")).unwrap()).unwrap()
}

#[track_caller]
fn is_valid(schema: &Value, shown: &Value, what: &str) {
    let problem = jsonschema::validator_for(schema)
        .unwrap()
        .iter_errors(shown)
        .next()
        .map(|error| error.to_string());
    assert_eq!(problem, None, "{what}: {shown}");
}

#[test]
fn every_example_is_valid() {
    let whole = schema();
    let documents = whole["oneOf"].as_array().unwrap();
    let references = documents.iter().map(|document| document["$ref"].as_str().unwrap());
    for reference in references.chain(["#/$defs/event"]) {
        let examples =
            whole.pointer(reference.trim_start_matches('#')).unwrap()["examples"].as_array();
        let examples = examples.unwrap_or_else(|| panic!("{reference} has no example"));
        assert!(!examples.is_empty(), "{reference} has no example");
        let only = serde_json::json!({"$ref": reference, "$defs": whole["$defs"]});
        for example in examples {
            is_valid(&only, example, reference);
        }
    }
    assert!(documents.len() > 5, "{documents:?}");
}

#[test]
fn the_failure_of_the_contract_is_valid() {
    let page = fs::read_to_string(format!("{ROOT}/docs/contract.md")).unwrap();
    let shown = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    is_valid(&schema(), &serde_json::from_str(shown).unwrap(), "docs/contract.md");
}
