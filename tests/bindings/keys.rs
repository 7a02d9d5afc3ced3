//! Keys that stay where they are. An independent authority accepts what they sign.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use mde_tests::documents::blocks;
use mde_tests::peers::keys::Keys;
use mde_tests::peers::oidc::{Provider, TENANT};
use mde_tests::peers::ports::unused_ports;
use mde_tests::programs::scenarios::has;
use mde_tests::programs::{Finished, How, ROOT, compile_also, release, run, tool};
use serde_json::json;

use crate::dotnet::building::{Built, On};

const ALGORITHMS: [&str; 2] = ["PS256", "RS256"];

/// The settings of a program that signs in to the provider.
fn settings<'a>(provider: &Provider, algorithm: &str, command: &'a mut Command) -> &'a mut Command {
    let options = json!({"api_url": provider.url, "login_url": provider.url, "max_retries": 0,
        "certificate_algorithm": algorithm});
    command
        .env("MDE_TENANT_ID", TENANT)
        .env("MDE_CLIENT_ID", algorithm)
        .env("MDE_OPTIONS", options.to_string())
}

/// The provider's API answers with the application that it knows the token to be of.
#[track_caller]
fn is_known_as(algorithm: &str, finished: Finished) {
    let printed = finished.expect(0).stdout.replace(": ", ":");
    has(&printed, &format!("\"requestor\":\"{algorithm}\""));
}

/// Runs the block of commands in `docs/sign-in.md` that begins so, in the folder of the keys.
#[track_caller]
fn as_documented(begin: &str, keys: &Keys, variables: &[(&str, &str)]) {
    let all = blocks(Path::new(ROOT), "docs/sign-in.md");
    let found = all.iter().find(|it| it.language == "console" && it.text.starts_with(begin));
    let text = found.expect("a block that begins so").text.replace("$ ", "");
    let mut bash = tool("bash", "bash");
    bash.args(["-euc", &text]).current_dir(keys.path("")).envs(variables.iter().copied());
    run(&mut bash).expect(0);
}

#[test]
fn a_pkcs11_token_signs() {
    let keys = Keys::new();
    drop(tool("softhsm2-util", "softhsm2"));
    as_documented("$ mkdir tokens\n", &keys, &[]);
    let program = compile_also(
        &["examples/c/pkcs11.c", "examples/c/signing.c"],
        How::Plain,
        &[],
        &["-I/usr/include/p11-kit-1", "-ldl"],
    );
    let provider = Provider::with_certificate(&keys.path("agent.pem"));
    let with = |algorithm: &str, certificate: &str, pin: &str| {
        let mut command = mde_tests::programs::start(&program, How::Plain);
        settings(&provider, algorithm, &mut command)
            .env("MDE_CERTIFICATE", keys.path(certificate))
            .env("SOFTHSM2_CONF", keys.path("softhsm2.conf"))
            .env("PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
            .env("PKCS11_TOKEN", "agent")
            .env("PKCS11_KEY", "agent-key")
            .env("PKCS11_PIN", pin);
        run(&mut command)
    };
    for algorithm in ALGORITHMS {
        is_known_as(algorithm, with(algorithm, "agent.pem", "1234"));
    }
    let wrong = with("PS256", "agent.pem", "4321").expect(1).stderr;
    has(&wrong, "C_Login failed with 0xa0: the PIN is wrong");
    keys.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 30 -subj /CN=x",
    );
    let said = with("PS256", "other.pem", "1234").expect(1).stderr;
    has(&said, "the signature of the signer does not fit `client_certificate`");
}

/// `examples/python/signer.py`, by the system's Python.
fn python_signer(provider: &Provider, algorithm: &str, words: &[&str]) -> Command {
    let mut python = tool("/usr/bin/python3", "python3");
    python
        .arg(Path::new(ROOT).join("examples/python/signer.py"))
        .args(words)
        .env("PYTHONPATH", Path::new(ROOT).join("bindings/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MDE_LIBRARY", release().join("libmde.so"));
    settings(provider, algorithm, &mut python);
    python
}

/// It says in one line what is wrong, as programs do for their users.
#[track_caller]
fn is_one_line(finished: Finished, part: &str) {
    let said = finished.expect(1).stderr;
    has(&said, part);
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_key_of_pythons_cryptography_signs() {
    let keys = Keys::new();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| keys.path(name));
    let provider = Provider::with_certificate(&certificate);
    for algorithm in ALGORITHMS {
        let words = ["--key", &key, "--certificate", &certificate];
        is_known_as(algorithm, run(&mut python_signer(&provider, algorithm, &words)));
    }
    keys.openssl("rsa -in key.pem -aes256 -passout pass:abcdef -out locked.pem");
    for (file, part) in [
        ("none.pem", "No such file or directory"),
        ("locked.pem", "is encrypted"),
        ("cert.pem", "is no private key in PEM"),
    ] {
        let words = ["--key", &keys.path(file), "--certificate", &certificate];
        is_one_line(run(&mut python_signer(&provider, "PS256", &words)), part);
    }
    let words = ["--key", &key, "--certificate", &certificate];
    let mut command = python_signer(&provider, "PS256", &words);
    is_one_line(run(command.env_remove("MDE_CLIENT_ID")), "signer.py: MDE_CLIENT_ID is not set");
}

/// A TPM in software.
struct Tpm {
    process: Child,
    port: u16,
}

impl Tpm {
    fn start(keys: &Keys) -> Tpm {
        // Its tools expect the second port beside the first.
        let (folder, port) = (keys.path("tpm"), unused_ports(2));
        std::fs::create_dir(&folder).unwrap();
        drop(tool("swtpm", "swtpm"));
        let mut swtpm = Command::new("swtpm");
        swtpm.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"]);
        swtpm.arg(format!("dir={folder}"));
        for (name, port) in [("--server", port), ("--ctrl", port + 1)] {
            swtpm.arg(name).arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"));
        }
        let mut tpm = Tpm { process: swtpm.spawn().unwrap(), port };
        for _ in 0..200 {
            // Otherwise what listens there may be another process.
            assert_eq!(tpm.process.try_wait().unwrap(), None, "swtpm has ended");
            if std::net::TcpStream::connect(("127.0.0.1", port + 1)).is_ok() {
                return tpm;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("swtpm does not start");
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_tpm_signs() {
    const HANDLE: &str = "0x81000001";
    let keys = Keys::new();
    let tpm = Tpm::start(&keys);
    drop(tool("tpm2_sign", "tpm2-tools"));
    as_documented("$ tpm2_createprimary ", &keys, &[("TPM2TOOLS_TCTI", &tpm.tcti())]);
    let own = keys.path("agent.pem");
    let provider = Provider::with_certificate(&own);
    for algorithm in ALGORITHMS {
        let words = ["--tpm", HANDLE, "--certificate", &own];
        let mut command = python_signer(&provider, algorithm, &words);
        is_known_as(algorithm, run(command.env("TPM2TOOLS_TCTI", tpm.tcti())));
    }
    // A key that the TPM does not have.
    let words = ["--tpm", "0x81000002", "--certificate", &own];
    let mut command = python_signer(&provider, "PS256", &words);
    let failed = run(command.env("TPM2TOOLS_TCTI", tpm.tcti()));
    is_one_line(failed, "the handle is not correct for the use");
    let mut command = python_signer(&provider, "PS256", &words);
    is_one_line(
        run(command.env("TPM2TOOLS_TCTI", "swtpm:port=1")),
        "check --tpm and TPM2TOOLS_TCTI",
    );
}

#[track_caller]
fn dotnet_signs(on: On, algorithms: &[&str]) {
    let keys = Keys::new();
    // As old runtimes read it, too.
    keys.openssl(
        "pkcs12 -export -in cert.pem -inkey key.pem -out own.pfx -passout pass:abcdef -certpbe PBE-SHA1-3DES \
         -keypbe PBE-SHA1-3DES -macalg sha1",
    );
    let built = Built::binding(on);
    let source = Path::new(ROOT).join("tests/dotnet/certificate/Certificate.cs");
    built.compile("Certificate.exe", &[source]);
    let provider = Provider::with_certificate(&keys.path("cert.pem"));
    for algorithm in algorithms {
        let mut command = built.start("Certificate.exe");
        command.args([&keys.path("own.pfx"), "abcdef"]);
        is_known_as(algorithm, run(settings(&provider, algorithm, &mut command)));
    }
}

/// The keys of Mono and of the older .NET Framework know no PSS.
#[test]
fn a_key_of_mono_signs() {
    dotnet_signs(On::Mono, &["RS256"]);
}

#[test]
fn a_key_of_dotnet_signs() {
    dotnet_signs(On::Net8, &ALGORITHMS);
}
