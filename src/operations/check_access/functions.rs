//! Which functions the permissions of a token allow, and what the others lack.

use serde::Serialize;

use super::access::Outcome;
use super::identity::Held;
use crate::error::Error;
use crate::service::quota::Quota;
use crate::status::Status;

/// The functions, and the requests that each may have to send.
const FUNCTIONS: [(&str, &[Quota]); 10] = {
    use Quota::{Cancel, Collect, Link, List, Machines, Read};
    [
        ("mde_fetch_package", &[Collect, Read, List, Link]),
        ("mde_fetch_packages", &[Collect, Read, List, Link]),
        ("mde_find_machines", &[Machines]),
        ("mde_collect_package", &[Collect, List]),
        ("mde_wait_action", &[Read, List]),
        ("mde_cancel_action", &[Cancel, Read]),
        ("mde_download_package", &[Read, Link]),
        ("mde_get_package_uri", &[Read, Link]),
        ("mde_get_action", &[Read]),
        ("mde_list_actions", &[List]),
    ]
};

/// A function, and what its caller lacks.
#[derive(Debug, Serialize)]
pub(super) struct Function {
    function: &'static str,
    allowed: bool,
    /// The least permissions that would allow it, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<&'static str>,
}

/// Compares every function with the permissions.
pub(super) fn allowed(held: Held<'_>) -> Vec<Function> {
    let functions = FUNCTIONS.iter().map(|(function, quotas)| {
        let mut lacks = Vec::new();
        for quota in *quotas {
            let suffices = if held.is_user { quota.scopes() } else { quota.permissions() };
            let has = suffices.iter().any(|name| held.permissions.iter().any(|own| own == name));
            let least = suffices.first().filter(|least| !has && !lacks.contains(*least));
            lacks.extend(least);
        }
        Function { function, allowed: lacks.is_empty(), lacks }
    });
    functions.collect()
}

/// Whether all functions are allowed. If not, the error names what to grant.
pub(super) fn outcome(functions: &[Function], held: Held<'_>) -> Outcome {
    let mut lacks: Vec<&str> = Vec::new();
    for name in functions.iter().flat_map(|function| &function.lacks) {
        if !lacks.contains(name) {
            lacks.push(name);
        }
    }
    if lacks.is_empty() {
        return Outcome::Ok;
    }
    let permissions = if lacks.len() > 1 { "permissions" } else { "permission" };
    let refused = functions.iter().filter(|function| !function.allowed).count();
    let (whose, what, remedy) = match held.is_user {
        true => (
            "a user's",
            "delegated",
            "sign in as an application, or let the user consent to these scopes",
        ),
        false => (
            "the application's",
            "application",
            "grant them in Entra, of the API WindowsDefenderATP, with an administrator's consent: the next token has them",
        ),
    };
    Outcome::Failed(Error::new(
        Status::Forbidden,
        format!(
            "the token is {whose} and lacks the {what} {permissions} {}, so that {refused} of {} functions are not allowed; {remedy}",
            lacks.join(" and "),
            functions.len(),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(permissions: &[&str], is_user: bool) -> Vec<(&'static str, Vec<&'static str>)> {
        let permissions: Vec<String> = permissions.iter().map(|name| (*name).to_owned()).collect();
        let held = Held { permissions: &permissions, is_user };
        allowed(held).into_iter().map(|it| (it.function, it.lacks)).collect()
    }

    /// `docs/deployment.md` has the same table.
    #[test]
    fn the_deployment_page_has_the_same_permissions() {
        let page = include_str!("../../../docs/deployment.md");
        let (_, table) = page.split_once("## Permissions in Entra").unwrap();
        let mut known = lacks(&[], false);
        for row in table.lines().skip_while(|line| !line.starts_with("|---")).skip(1) {
            let Some(row) = row.strip_prefix('|') else { break };
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            for function in cells[0].split(", ").map(|name| name.trim_matches('`')) {
                let Some(at) = known.iter().position(|(name, _)| *name == function) else {
                    continue;
                };
                let mut named = Vec::new();
                for (cell, name) in
                    cells[1..].iter().zip(["Machine.CollectForensics", "Machine.Read.All"])
                {
                    if cell.starts_with("yes") {
                        named.push(name);
                    }
                }
                assert_eq!(known.remove(at).1, named, "{function}");
            }
        }
        assert!(known.is_empty(), "docs/deployment.md lacks {known:?}");
    }

    #[test]
    fn one_of_the_two_permissions_allows_a_part() {
        let of = |permissions: &[&str], is_user, function: &str| {
            let all = lacks(permissions, is_user);
            all.into_iter().find(|(name, _)| *name == function).unwrap().1
        };
        assert_eq!(
            of(&["Machine.Read.All"], false, "mde_fetch_package"),
            ["Machine.CollectForensics"]
        );
        assert!(of(&["Machine.ReadWrite.All"], false, "mde_find_machines").is_empty());
        assert_eq!(
            of(&["Machine.CollectForensics"], false, "mde_collect_package"),
            ["Machine.Read.All"]
        );
        let isolates = ["Machine.Isolate", "Machine.Read.All"];
        assert!(of(&isolates, false, "mde_cancel_action").is_empty());
        // A user's have other names.
        assert_eq!(of(&["Machine.Read.All"], true, "mde_get_action"), ["Machine.Read"]);
        assert!(of(&["Machine.Read"], true, "mde_get_action").is_empty());
        assert_eq!(
            of(&["Machine.Read"], true, "mde_get_package_uri"),
            ["Machine.CollectForensics"]
        );
    }
}
