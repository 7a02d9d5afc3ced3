//! Links to packages: which hosts they may name, and the errors without one.

use mde_tests::packages::{Folder, lead_to, links_asked_for, patient, service};
use serde_json::json;

#[test]
fn a_link_is_returned_unchanged_but_for_its_quotation_marks() {
    let (sim, id) = service("Succeeded");
    let link = "https://userrequests-us.securitycenter.windows.com:443/safedownload/\
        WDATP_Investigation_Package.zip?token=ab%2fcd%2bef%3d%3B%3dGH~*";
    for value in [link.to_owned(), format!("\"{link}\"")] {
        sim.clear_script();
        lead_to(&sim, &value);
        assert_eq!(patient(&sim, &[]).package_uri(&id).ok()["uri"], link);
    }
}

#[test]
fn a_link_to_a_host_that_is_not_allowed_is_refused_and_not_shown() {
    let (sim, id) = service("Succeeded");
    for (link, problem) in [
        ("https://evil.example/p?sig=SECRET", "evil.example"),
        ("http://api.security.microsoft.com/p?sig=SECRET", "not https"),
        ("https://user:SECRET@api.security.microsoft.com/p", "login"),
        ("ftp://api.security.microsoft.com/p?sig=SECRET", "not https"),
        ("//SECRET", "no scheme"),
        ("", "no link"),
    ] {
        sim.clear_script();
        lead_to(&sim, link);
        let folder = Folder::new();
        for outcome in
            [patient(&sim, &[]).package_uri(&id), patient(&sim, &[]).download(&id, &folder.file())]
        {
            assert!(!outcome.text.contains("SECRET"), "{}", outcome.text);
            let error = outcome.error("protocol");
            assert_eq!(error["stage"], "link");
            assert_eq!(error["action_id"], id.as_str());
            assert!(error["message"].as_str().unwrap().contains(problem), "{error}");
        }
        assert!(folder.names().is_empty(), "nothing is left where nothing was fetched");
    }
    // With the option it is another matter.
    sim.clear_script();
    lead_to(&sim, "https://evil.example/p?sig=x");
    patient(&sim, &[("download_hosts", "a.example, evil.example")]).package_uri(&id).ok();
}

#[test]
fn every_state_has_its_error_and_only_success_requests_a_link() {
    for (state, name) in [
        ("Pending", "not_ready"),
        ("InProgress", "not_ready"),
        ("Paused", "not_ready"),
        ("Failed", "action_failed"),
        ("TimeOut", "action_timed_out"),
        ("Cancelled", "action_cancelled"),
    ] {
        let (sim, id) = service("Pending");
        let folder = Folder::new();
        let mut action = sim.actions()[0].clone();
        action["status"] = state.into();
        sim.script(json!([
            {"match": {"path_contains": "getPackageUri"}, "times": 0, "reply": {"status": 404,
                "json": {"error": {"code": "ResourceNotFound", "message": "m", "target": "t"}}}},
            {"match": {"path_contains": id}, "times": 0, "reply": {"status": 200, "json": action}}]))
            .unwrap();
        let client = patient(&sim, &[]);
        for stage in ["download", "link"] {
            let outcome = match stage {
                "link" => client.package_uri(&id),
                _ => client.download(&id, &folder.file()),
            };
            assert_eq!(links_asked_for(&sim), usize::from(stage == "link"), "{state}");
            let error = outcome.error(name);
            assert_eq!(
                (&error["stage"], &error["action"]["status"]),
                (&json!(stage), &json!(state))
            );
            assert_eq!(
                (&error["action_id"], &error["retryable"]),
                (&json!(id), &json!(name == "not_ready"))
            );
        }
        assert!(folder.names().is_empty());
    }
}

#[test]
fn unknown_actions_and_other_types_of_action_are_errors() {
    let (sim, _) = service("Succeeded");
    let unknown = "5382f7ea-7557-4ab7-9782-d50480024a4e";
    let client = patient(&sim, &[]);
    client.package_uri(unknown).error("not_found");
    client.download(unknown, &Folder::new().file()).error("not_found");
    let scan = sim.add_action(json!({"type": "RunAntiVirusScan"})).unwrap();
    let error = client.package_uri(scan["id"].as_str().unwrap()).error("bad_request");
    assert_eq!(
        (&error["service_code"], &error["http_status"]),
        (&json!("InvalidInput"), &json!(400))
    );
    assert!(
        error["message"].as_str().unwrap().contains("only the action of a collection"),
        "{error}"
    );
}

#[test]
fn a_link_that_appears_after_success_is_waited_for() {
    let (sim, id) = service("Succeeded");
    sim.script(
        json!({"match": {"path_contains": "getPackageUri"}, "times": 2, "reply": {"status": 404}}),
    )
    .unwrap();
    patient(&sim, &[]).package_uri(&id).ok();
    assert_eq!(links_asked_for(&sim), 3);
    // But not for ever.
    sim.script(
        json!({"match": {"path_contains": "getPackageUri"}, "times": 0, "reply": {"status": 404}}),
    )
    .unwrap();
    let error = patient(&sim, &[("timeout_ms", "3000")]).package_uri(&id).error("not_ready");
    assert_eq!(error["action"]["status"], "Succeeded");
}
