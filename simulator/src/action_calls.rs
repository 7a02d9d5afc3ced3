//! The replies to the calls on machine actions: collect, read, list, cancel, link.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::actions::{self, Request};
use crate::clock::seconds;
use crate::config::{DEFAULT_CLIENT, DEFAULT_NAME, Duplicate};
use crate::download;
use crate::errors;
use crate::ids;
use crate::links::Link;
use crate::query;
use crate::reply::Reply;
use crate::routes::{Asked, json_body};
use crate::sign_in::Caller;
use crate::state::State;

const ENTITY: &str = "MachineActions/$entity";

/// The members that a POST may carry. Their letter case matters.
const PARAMETERS: [&str; 4] = ["Comment", "ExternalId", "RequestSource", "Title"];

/// The value of `requestor`.
fn requestor(caller: &Caller) -> &str {
    if caller.application == DEFAULT_CLIENT { DEFAULT_NAME } else { &caller.application }
}

/// Checks the parameters of a POST; each is text, and `Comment` is required.
fn parameters(asked: &Asked) -> Result<Map<String, Value>, Reply> {
    let body = json_body(asked)?;
    let comment = body.get("Comment").unwrap_or(&Value::Null);
    if comment.is_null() || comment == "" {
        return Err(errors::error(
            StatusCode::BAD_REQUEST,
            "MissingRequiredParameter",
            "Missing required parameter: Comment",
        ));
    }
    let fits = |(name, value): (&String, &Value)| {
        PARAMETERS.contains(&name.as_str())
            && (value.is_string() || (value.is_null() && name != "Comment"))
    };
    if body.iter().all(fits) { Ok(body) } else { Err(errors::bad_body()) }
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
///
/// <https://learn.microsoft.com/defender-endpoint/api/collect-investigation-package>
pub fn collect(state: &State, caller: &Caller, machine: &str, asked: &Asked) -> Reply {
    let body = match parameters(asked) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let Some(machine) = state.machines.by_id(machine, 0) else {
        return errors::no_machine(machine);
    };
    let mut world = state.world();
    let heads = world.random.bool();
    if let Some(running) = world.actions.running_on(&machine.id()) {
        let returns = match world.behaviour.duplicate {
            Duplicate::ReturnExisting => true,
            Duplicate::Refuse400 => false,
            Duplicate::Either => heads,
        };
        return if returns {
            Reply::odata(StatusCode::CREATED, &query::in_context(ENTITY, &running.to_json()))
        } else {
            errors::error(
                StatusCode::BAD_REQUEST,
                &world.behaviour.duplicate_code,
                "Action is already in progress",
            )
        };
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let request = Request {
        requestor: requestor(caller),
        comment: text("Comment").unwrap_or_default(),
        title: text("Title"),
        external_id: text("ExternalId"),
        source: text("RequestSource"),
    };
    let action = world.actions.collect(Some(machine), &request, &state.clock);
    Reply::odata(StatusCode::CREATED, &query::in_context(ENTITY, &action))
}

/// `GET /api/machineactions/{id}`
///
/// <https://learn.microsoft.com/defender-endpoint/api/get-machineaction-object>
pub fn read(state: &State, id: &str) -> Reply {
    if !ids::is_guid(id) {
        return errors::not_a_guid(id);
    }
    let world = state.world();
    let now = state.clock.now();
    match world.actions.find(id).filter(|a| a.is_visible(&world.behaviour, now)) {
        Some(action) => Reply::odata(StatusCode::OK, &query::in_context(ENTITY, &action.to_json())),
        None => errors::no_action(id),
    }
}

/// `GET /api/machineactions`
///
/// <https://learn.microsoft.com/defender-endpoint/api/get-machineactions-collection>
pub fn list(state: &State, path: &str, query: &str) -> Reply {
    let now = state.clock.now();
    let world = state.world();
    let listed = world.actions.all().iter().filter(|one| one.is_listed(&world.behaviour, now));
    let url = format!("{}{path}", state.origin);
    match query::list(&actions::SCHEMA, listed, query, &url, state.config.page_size) {
        Ok(page) => Reply::odata(StatusCode::OK, &page.body),
        Err(reply) => reply,
    }
}

/// `POST /api/machineactions/{id}/cancel`
///
/// <https://learn.microsoft.com/defender-endpoint/api/cancel-machine-action>
pub fn cancel(state: &State, caller: &Caller, id: &str, asked: &Asked) -> Reply {
    if !ids::is_guid(id) {
        return errors::not_a_guid(id);
    }
    let body = match parameters(asked) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let comment = body.get("Comment").and_then(Value::as_str).unwrap_or_default();
    let mut world = state.world();
    if world.actions.find(id).is_none() {
        return errors::no_action(id);
    }
    match world.actions.cancel(id, requestor(caller), comment, state.clock.now()) {
        Some(action) => Reply::odata(StatusCode::OK, &query::in_context(ENTITY, &action)),
        None => errors::error(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "Machine action is already in a final state and cannot be cancelled",
        ),
    }
}

/// `GET /api/machineactions/{id}/getPackageUri`
///
/// <https://learn.microsoft.com/defender-endpoint/api/get-package-sas-uri>
pub fn link(state: &State, id: &str) -> Reply {
    if !ids::is_guid(id) {
        return errors::not_a_guid(id);
    }
    let mut world = state.world();
    let now = state.clock.now();
    let action = world.actions.find(id).filter(|a| a.is_visible(&world.behaviour, now));
    let Some(action) = action else {
        return errors::no_action(id);
    };
    if !action.is_collection() {
        return errors::error(
            StatusCode::BAD_REQUEST,
            "InvalidInput",
            "Provided Guid is not a valid id for a CollectInvestigationPackage action",
        );
    }
    if action.status() != "Succeeded" {
        return errors::error(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            &format!("Package for action {id} was not found"),
        );
    }
    let link = Link {
        action: action.id().to_owned(),
        issued: now,
        issued_at: Timestamp::now(),
        lifetime: seconds(world.behaviour.link_lifetime_s),
        uses: 0,
    };
    let token = world.links.issue(link);
    let url = format!("{}/safedownload/{}?token={token}", state.base(), download::FILE);
    let value = if world.behaviour.quoted_links { format!("\"{url}\"") } else { url };
    let body = json!({"@odata.context": query::context("Edm.String"), "value": value});
    Reply::odata(StatusCode::OK, &body)
}
