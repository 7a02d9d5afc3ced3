use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use mde_simulator::{Config, Simulator};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mde-simulator");

fn scratch(name: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&file);
    file
}

fn start(flags: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = Command::new(PROGRAM).args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("listening on ").unwrap().to_owned();
    (child, out, url)
}

fn curl(arguments: &[&str]) -> (bool, String) {
    let out = Command::new("curl").args(["-s", "-m", "10"]).args(arguments).output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[cfg(unix)]
#[test]
fn the_program_serves_reports_and_ends_on_a_signal() {
    let port_file = scratch("port");
    let flags = ["--port-file", port_file.to_str().unwrap(), "--latency", "1-3"];
    for signal in ["TERM", "INT"] {
        let (mut child, mut out, url) = start(&flags);
        let port = std::fs::read_to_string(&port_file).unwrap();
        assert_eq!(url, format!("http://127.0.0.1:{port}"));
        assert!(curl(&[&format!("{url}/api/nothing?a=1")]).0);
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert!(child.wait().unwrap().success(), "{signal}");
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "404 GET /api/nothing?a=1\n");
    }
}

#[test]
fn the_test_authority_is_what_tls_needs() {
    let ca = scratch("ca.pem");
    let ca = ca.to_str().unwrap();
    let (mut child, _out, url) = start(&["--tls", "--ca-out", ca, "--quiet"]);
    assert!(url.starts_with("https://127.0.0.1:"));
    let stats = format!("{url}/_control/stats");
    let (trusted, text) = curl(&["--cacert", ca, &stats]);
    assert!(trusted && text.contains("\"requests\":0"), "{text}");
    let name = stats.replace("127.0.0.1", "localhost");
    assert!(curl(&["--cacert", ca, &name]).0);
    assert!(!curl(&[&stats]).0, "nobody trusts it unasked");
    child.kill().unwrap();
    child.wait().unwrap();

    let sim = Simulator::start(Config { tls: true, ..Config::default() }).unwrap();
    std::fs::write(ca, sim.ca_pem().unwrap()).unwrap();
    assert!(curl(&["--cacert", ca, &format!("{}/_control/stats", sim.api_url())]).0);
    // A body cut off under TLS is noticed as well.
    let rule = serde_json::json!({"reply": {"body": "0123456789", "truncate_after": 4}});
    sim.script(rule).unwrap();
    let (complete, text) = curl(&["--cacert", ca, &sim.api_url()]);
    assert_eq!((complete, text.as_str()), (false, "0123"));
}

#[test]
fn flags_are_explained_and_checked() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let identity = [
        mde_simulator::DEFAULT_TENANT,
        mde_simulator::DEFAULT_CLIENT,
        mde_simulator::DEFAULT_SECRET,
    ];
    for word in identity.iter().chain(&["--quota-limits", "getPackageUri"]) {
        assert!(help.contains(word), "{word}");
    }
    for wrong in [
        &["--quota-limits", "links=2/60"][..],
        &["--quota-limits", "link=2"],
        &["--latency", "9-3"],
        &["--application", "a:b"],
        &["--ca-out", "x"],
        &["--machine-outcome", "x=Perhaps"],
        &["--package-fault", "unknown"],
        &["--faults", "lost=5"],
        &["--faults", "late=some"],
        &["--tagged", "DMZ"],
        &["--tagged", "DMZ=-1"],
    ] {
        let out = Command::new(PROGRAM).args(wrong).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{wrong:?}");
    }
    let taken = Simulator::start(Config::default()).unwrap();
    let address = taken.origin().strip_prefix("http://").unwrap();
    let out = Command::new(PROGRAM).args(["--listen", address]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("mde-simulator: "));
}

#[test]
fn flags_reach_the_service() {
    let limits = "machines=1/60";
    let application = "t:c:se:cret:Machine.Read.All";
    let (mut child, _out, url) =
        start(&["--quota-limits", limits, "--application", application, "--machines", "3"]);
    let token = crate::http::sign_in(&url, "t", "c", "se:cret");
    let header = format!("Authorization: Bearer {token}");
    let machines = format!("{url}/api/machines");
    let (_, text) = curl(&["-H", &header, &machines]);
    assert_eq!(text.matches("\"computerDnsName\"").count(), 3);
    let (_, text) = curl(&["-H", &header, &machines]);
    assert!(text.contains("Maximum allowed 1 per 00:01:00"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn flags_make_a_fleet() {
    let flags = "--machines 500 --offline 10 --tagged 100 --tagged a=b=7 --groups Servers,Clients";
    let (mut child, _out, url) = start(&flags.split(' ').collect::<Vec<_>>());
    let token = crate::http::sign_in(
        &url,
        mde_simulator::DEFAULT_TENANT,
        mde_simulator::DEFAULT_CLIENT,
        mde_simulator::DEFAULT_SECRET,
    );
    let header = format!("Authorization: Bearer {token}");
    let (_, text) = curl(&["-H", &header, &format!("{url}/api/machines")]);
    for (part, count) in [
        (r#""healthStatus":"Inactive""#, 10),
        (r#""machineTags":["DMZ","a=b"]"#, 7),
        (r#""machineTags":["DMZ"]"#, 93),
        (r#""rbacGroupName":"Clients""#, 250),
    ] {
        assert_eq!(text.matches(part).count(), count, "{part}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn flags_reach_the_downloads() {
    let flags = [
        "--package-bytes 5 --package-edition 3 --package-fault truncated --link-uses 1",
        "--empty-when-expired --chunked-downloads --cut-downloads-after 7 --download-rate 9",
    ];
    let flags: Vec<&str> = flags.iter().flat_map(|flags| flags.split(' ')).collect();
    let (mut child, _out, url) = start(&flags);
    let (_, text) = curl(&[&format!("{url}/_control/behaviour")]);
    for member in [
        r#""package_bytes":5"#,
        r#""package_edition":3"#,
        r#""package_fault":"Truncated""#,
        r#""link_uses":1"#,
        r#""empty_when_expired":true"#,
        r#""chunked_downloads":true"#,
        r#""cut_downloads_after":7"#,
        r#""download_rate":9"#,
    ] {
        assert!(text.contains(member), "{member}: {text}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
