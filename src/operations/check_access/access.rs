//! The result of a check, as a document.

use serde::Serialize;

use super::functions::Function;
use super::host::Host;
use super::identity::Identity;
use crate::error::{Error, Members};
use crate::text::json;

/// What a client may do, and how its hosts are reached.
#[derive(Debug)]
pub struct Access {
    pub(super) steps: Vec<CheckStep>,
    pub(super) identity: Option<Identity>,
    pub(super) functions: Option<Vec<Function>>,
    pub(super) sign_in_host: Option<Host>,
    pub(super) api_host: Option<Host>,
}

/// A step of a check, and its result.
#[derive(Debug)]
pub struct CheckStep {
    name: &'static str,
    outcome: Outcome,
}

/// The result of a step.
#[derive(Debug)]
pub(super) enum Outcome {
    Ok,
    Failed(Error),
    /// It was not needed, or what it needs has failed.
    Skipped,
}

impl Outcome {
    /// Takes the error. The step is then one that was not reached.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        match std::mem::replace(self, Outcome::Skipped) {
            Outcome::Failed(error) => Some(error),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(super) fn map_error(self, map: impl FnOnce(Error) -> Error) -> Outcome {
        match self {
            Outcome::Failed(error) => Outcome::Failed(map(error)),
            other => other,
        }
    }
}

impl CheckStep {
    pub(super) fn new(name: &'static str, outcome: Outcome) -> CheckStep {
        CheckStep { name, outcome }
    }

    /// `sign_in_host`, `sign_in`, `permissions`, `api_host`, `api` or `clock`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// `ok`, `failed` or `skipped`.
    pub fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped => "skipped",
        }
    }

    /// Why it failed, and what to do about it.
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Failed(error) => Some(error),
            Outcome::Ok | Outcome::Skipped => None,
        }
    }
}

impl Access {
    /// Whether no step has failed.
    pub fn is_ok(&self) -> bool {
        self.steps.iter().all(|step| step.error().is_none())
    }

    /// The steps in their order.
    pub fn steps(&self) -> &[CheckStep] {
        &self.steps
    }

    /// The document: `{"access":{"ok":…,"steps":[…],…}}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            access: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            ok: bool,
            steps: Vec<Step<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            identity: Option<&'a Identity>,
            #[serde(skip_serializing_if = "Option::is_none")]
            functions: Option<&'a [Function]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sign_in_host: Option<&'a Host>,
            #[serde(skip_serializing_if = "Option::is_none")]
            api_host: Option<&'a Host>,
        }
        #[derive(Serialize)]
        struct Step<'a> {
            step: &'static str,
            result: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<Members<'a>>,
        }
        let steps = self.steps.iter().map(|step| Step {
            step: step.name,
            result: step.result(),
            error: step.error().map(|error| error.members(None)),
        });
        json::text(&Document {
            access: Body {
                ok: self.is_ok(),
                steps: steps.collect(),
                identity: self.identity.as_ref(),
                functions: self.functions.as_deref(),
                sign_in_host: self.sign_in_host.as_ref(),
                api_host: self.api_host.as_ref(),
            },
        })
    }
}
