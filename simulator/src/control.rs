//! The control endpoints, through which a test in another process controls the simulator. Their
//! requests are neither counted, nor logged, nor scripted.

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::config::Behaviour;
use crate::reply::Reply;
use crate::routes::Asked;
use crate::state::State;

/// The beginning of every control endpoint's path. The path prefix does not apply to it.
pub const PREFIX: &str = "/_control/";

/// Answers a control request.
pub fn answer(state: &State, asked: &Asked) -> Reply {
    let name = asked.path.strip_prefix(PREFIX).unwrap_or_default();
    let done = match (&asked.method, name) {
        (&Method::POST, "script") => parse(&asked.body)
            .and_then(|rules| state.world().script.add(rules))
            .map(|()| json!({"ok": true})),
        (&Method::DELETE, "script") => {
            state.world().script.clear();
            Ok(json!({"ok": true}))
        }
        (&Method::GET, "requests") => Ok(json!(state.log.requests())),
        (&Method::DELETE, "requests") => {
            state.log.clear();
            Ok(json!({"ok": true}))
        }
        (&Method::GET, "actions") => Ok(json!(actions(state))),
        (&Method::POST, "actions") => parse(&asked.body).and_then(|given| add(state, &given)),
        (&Method::GET, "behaviour") => Ok(json!(state.world().behaviour)),
        (&Method::POST, "behaviour") => {
            parse(&asked.body).and_then(|given| change(state, &given)).map(|b| json!(b))
        }
        (&Method::GET, "stats") => Ok(state.log.stats()),
        (&Method::POST, "tokens/revoke") => Ok(json!({"revoked": state.world().tokens.revoke()})),
        _ => {
            let message = format!("no control endpoint {} {}", asked.method, asked.path);
            return Reply::json(StatusCode::NOT_FOUND, &json!({"error": message}));
        }
    };
    match done {
        Ok(value) => Reply::json(StatusCode::OK, &value),
        Err(why) => Reply::json(StatusCode::BAD_REQUEST, &json!({"error": why})),
    }
}

fn parse(body: &str) -> Result<Value, String> {
    serde_json::from_str(body).map_err(|e| e.to_string())
}

/// All actions as they would be served now.
pub fn actions(state: &State) -> Vec<Value> {
    state.world().actions.all().iter().map(crate::actions::Action::to_json).collect()
}

/// Adds an action. It belongs to the first machine unless it names another one.
pub fn add(state: &State, given: &Value) -> Result<Value, String> {
    let given = given.as_object().ok_or("an action is a JSON object")?;
    let schema = &crate::actions::SCHEMA;
    for name in given.keys() {
        if !schema.members.iter().any(|member| member.name == name) {
            return Err(format!("an action has no member `{name}`"));
        }
    }
    let machine = match given.get("machineId").and_then(Value::as_str) {
        Some(id) => state.machines.by_id(id, 0),
        None => state.machines.all(0).next(),
    };
    Ok(state.world().actions.add(given, machine))
}

/// Changes the members of the behaviour that are given.
fn change(state: &State, given: &Value) -> Result<Behaviour, String> {
    let given: &Map<String, Value> = given.as_object().ok_or("a behaviour is a JSON object")?;
    let mut world = state.world();
    let mut whole = serde_json::to_value(&world.behaviour).map_err(|e| e.to_string())?;
    if let Some(members) = whole.as_object_mut() {
        members.extend(given.clone());
    }
    world.behaviour = serde_json::from_value(whole).map_err(|e| e.to_string())?;
    Ok(world.behaviour.clone())
}
