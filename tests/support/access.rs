//! What a check of the access has found.

use serde_json::{Value, json};

use crate::Client;

/// The members of `access`.
pub struct Checked(pub Value);

impl Checked {
    /// Checks, which succeeds whatever it finds.
    #[track_caller]
    pub fn of(client: &Client) -> Checked {
        Checked(client.check_access().ok()["access"].clone())
    }

    #[track_caller]
    pub fn step(&self, name: &str) -> &Value {
        let steps = self.0["steps"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}"))
    }

    /// The steps that have not ended well, with their results.
    pub fn others(&self) -> Vec<(&str, &str)> {
        let steps = self.0["steps"].as_array().unwrap().iter();
        let steps = steps.map(|it| (it["step"].as_str().unwrap(), it["result"].as_str().unwrap()));
        steps.filter(|(_, result)| *result != "ok").collect()
    }

    /// The first step that has failed, which must be this one, with these words.
    #[track_caller]
    pub fn fails_first(&self, step: &str, name: &str, words: &str) -> &Value {
        assert_eq!(self.0["ok"], false, "{}", self.0);
        let failed = self.others().into_iter().find(|(_, result)| *result == "failed");
        assert_eq!(failed.map(|(step, _)| step), Some(step), "{}", self.0);
        let error = &self.step(step)["error"];
        assert_eq!(error["name"], name, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "no `{words}` in: {message}");
        error
    }

    /// All is well.
    #[track_caller]
    pub fn is_fine(&self) {
        assert_eq!((&self.0["ok"], self.others()), (&json!(true), vec![]), "{}", self.0);
    }

    /// What a function lacks.
    #[track_caller]
    pub fn lacks(&self, function: &str) -> Vec<&str> {
        let functions = self.0["functions"].as_array().unwrap();
        let found = functions.iter().find(|it| it["function"] == function);
        let found = found.unwrap_or_else(|| panic!("no {function}"));
        let lacks = found["lacks"].as_array().into_iter().flatten();
        let lacks: Vec<_> = lacks.map(|name| name.as_str().unwrap()).collect();
        assert_eq!(found["allowed"], lacks.is_empty(), "{found}");
        lacks
    }
}

/// A rule for the simulator: the sign-in service grants a token with these claims.
pub fn grants(claims: &Value) -> Value {
    use base64::Engine;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
    let token = json!({"access_token": format!("e30.{claims}.c2ln"), "expires_in": 3599});
    json!({"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 200, "json": token}})
}

/// A rule for the simulator: consent is missing.
pub fn wants_consent() -> Value {
    let description = "AADSTS65001: The user or administrator has not consented to use the application with ID \
        '3a8f5d02-6b7c-4e19-9f48-c2d1708be563'.\r\nTrace ID: 1";
    let refusal =
        json!({"error": "invalid_grant", "error_description": description, "error_codes": [65001]});
    json!({"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 400, "json": refusal}})
}

/// Rules for the simulator: its clock is this many seconds behind.
pub fn clock_is_behind(seconds: u64) -> Value {
    let now = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    let mut token = grants(&json!({"roles": ["Machine.CollectForensics", "Machine.Read.All"]}));
    let date = json!({"Date": httpdate::fmt_http_date(now)});
    token["reply"]["headers"] = date.clone();
    let list = json!({"status": 200, "json": {"value": []}, "headers": date});
    json!([token, {"match": {"path_contains": "/api/"}, "times": 0, "reply": list}])
}
