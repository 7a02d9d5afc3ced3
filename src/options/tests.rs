use super::*;
use crate::service::cloud::CLOUDS;

fn problem(name: &str, value: &str) -> String {
    let error = Options::new().set(name, value).unwrap_err();
    assert_eq!(error.status(), Status::Config);
    error.message().to_owned()
}

#[test]
fn every_error_names_the_option_its_problem_and_what_is_accepted() {
    assert_eq!(
        problem("timeout_ms", "soon"),
        "option `timeout_ms` is not a whole number; expected 0 to 86400000; 0 for no limit"
    );
    assert_eq!(
        problem("quota_share", "0"),
        "option `quota_share` is out of range; expected 1 to 100"
    );
    assert!(
        problem("tenat_id", "x")
            .starts_with("option `tenat_id` is unknown; expected one of tenant_id, ")
    );
    assert!(problem("api_url", "http://api.example").contains("unencrypted"));
    assert!(problem("api_url", "https://u:p@api.example").contains("has a login"));
    assert!(problem("quota_limits", "x=1/60").contains("unknown endpoint"));
}

#[test]
fn values_are_never_repeated() {
    for spec in TABLE {
        let value = format!("canary\u{1}{}", "x".repeat(MAX_VALUE));
        assert!(!problem(spec.name, &value).contains("canary"), "{}", spec.name);
    }
}

#[test]
fn every_option_refuses_an_empty_value_and_every_number_refuses_what_is_not_one() {
    // An empty list, and an empty password, which some files have.
    let may_be_empty = ["no_proxy", "certificate_password"];
    for spec in TABLE.iter().filter(|spec| !may_be_empty.contains(&spec.name)) {
        problem(spec.name, "");
    }
    for name in may_be_empty {
        Options::new().set(name, "").unwrap();
    }
    for name in TABLE.iter().filter(|spec| spec.numeric).map(|spec| spec.name) {
        for bad in ["-1", "+1", "1.5", " 1", "1e3", "99999999999999999999"] {
            problem(name, bad);
        }
    }
}

#[test]
fn a_whole_number_may_have_a_fraction_or_an_exponent_in_json() {
    let mut options = Options::new();
    options.set_json(r#"{"timeout_ms":60000.0,"connect_timeout_ms":6e4}"#).unwrap();
    let minute = Duration::from_secs(60);
    assert_eq!(options.settings().timeout, Some(minute));
    assert_eq!(options.settings().connect_timeout, minute);
    for bad in [r#"{"timeout_ms":0.5}"#, r#"{"timeout_ms":-1.0}"#, r#"{"timeout_ms":1e300}"#] {
        assert_eq!(options.set_json(bad).unwrap_err().status(), Status::Config, "{bad}");
    }
}

#[test]
fn json_sets_all_or_nothing() {
    let mut options = Options::new();
    options.set_json(r#"{"tenant_id":"t","timeout_ms":5,"max_retries":"3"}"#).unwrap();
    assert_eq!(options.settings().timeout, Some(Duration::from_millis(5)));
    assert_eq!(options.settings().max_retries, 3);
    let error = options.set_json(r#"{"tenant_id":"other","cloud":"mars"}"#).unwrap_err();
    assert!(error.message().starts_with("option `cloud`"));
    assert_eq!(options.settings().tenant_id.as_deref(), Some("t"));
    for bad in [
        r#"{"tenant_id":5}"#,
        r#"{"timeout_ms":true}"#,
        r#"{"timeout_ms":1.5}"#,
        r#"{"cloud":null}"#,
        r#"{"cloud":["eu"]}"#,
    ] {
        assert_eq!(options.set_json(bad).unwrap_err().status(), Status::Config, "{bad}");
    }
    for bad in ["", "{", "[]", "null", "{\"a\":1} x"] {
        assert_eq!(options.set_json(bad).unwrap_err().status(), Status::InvalidArgument, "{bad}");
    }
}

#[test]
fn every_default_is_accepted_and_applies() {
    for spec in TABLE {
        if let Preset::Value(value) = spec.preset {
            Options::new().set(spec.name, value).unwrap();
        }
    }
    let options = Options::new();
    let settings = options.settings();
    assert_eq!(settings.connect_timeout, Duration::from_secs(10));
    assert_eq!((settings.timeout, settings.max_retries), (Some(Duration::from_secs(300)), 4));
    assert_eq!((settings.quota_share, settings.max_package_bytes), (100, 16 << 30));
    assert_eq!(settings.cloud.map(|cloud| cloud.name), Some("commercial"));
    let mut options = options.clone();
    options.set("timeout_ms", "0").unwrap();
    options.set("max_package_bytes", "0").unwrap();
    let settings = options.settings();
    assert_eq!((settings.timeout, settings.max_package_bytes), (None, u64::MAX));
}

#[test]
fn the_cloud_option_lists_every_cloud() {
    let spec = TABLE.iter().find(|spec| spec.name == "cloud").unwrap();
    for cloud in CLOUDS {
        assert!(spec.accepts.split([',', ' ']).any(|word| word == cloud.name), "{}", cloud.name);
        Options::new().set("cloud", cloud.name).unwrap();
    }
}
