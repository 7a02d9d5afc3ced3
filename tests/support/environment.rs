//! Clients that are made with the environment of a test.
//!
//! The environment belongs to the whole process, so one client at a time is made, and a test program that uses this
//! looks up no host names meanwhile.

use std::ffi::OsStr;
use std::sync::Mutex;

use crate::{Client, Outcome};

static ENVIRONMENT: Mutex<()> = Mutex::new(());

const NAMES: [&str; 12] = [
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_SERVER_THUMBPRINT",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Makes a client while the environment has exactly these variables of the ones that matter.
pub fn client_with(
    variables: &[(&str, impl AsRef<OsStr>)],
    options: &[(&str, &str)],
) -> Result<Client, Outcome> {
    let _one_at_a_time = ENVIRONMENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for name in NAMES {
        // SAFETY: everybody in this process who uses the environment does so through std, which has a lock for
        // it: no test looks up host names.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in variables {
        // SAFETY: as above.
        unsafe { std::env::set_var(name, value) };
    }
    Client::with(options)
}
