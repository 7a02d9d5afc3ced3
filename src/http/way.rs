//! The way to a host: through which proxy, if any, and what decided that.

use serde::Serialize;

/// The way to a host, and why it is this one.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Way {
    /// Host and port of the proxy. `None`: there is no proxy on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    pub(super) because: Because,
    /// The option or variable that says so.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) set_by: &'static str,
}

/// What decided about the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Because {
    /// Nothing names a proxy.
    #[default]
    None,
    Option,
    Variable,
    /// Windows' setting.
    System,
    /// The host is among the exceptions.
    NoProxy,
    /// A host of this machine.
    Loopback,
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use crate::http::proxy::{Choice, Proxies, Proxy};
    use crate::text::json;

    #[test]
    fn the_way_to_a_host_has_its_reason() {
        let way = |choice: &Choice, host: &str| {
            let proxies = Proxies::new(choice, Some("in.test")).unwrap();
            let routes = proxies.routes(host, 443, Instant::now()).unwrap();
            json::text(&proxies.way(host, 443, routes.list[0].as_deref()))
        };
        let proxy = Choice::Url(Proxy::parse("http://u:canary@p:1").unwrap());
        for (choice, host, expected) in [
            (&Choice::None, "a.test", r#"{"because":"option","set_by":"proxy"}"#),
            (&proxy, "a.test", r#"{"address":"p:1","because":"option","set_by":"proxy"}"#),
            (&proxy, "b.in.test", r#"{"because":"no_proxy","set_by":"no_proxy"}"#),
            (&proxy, "127.0.0.1", r#"{"because":"loopback"}"#),
        ] {
            assert_eq!(way(choice, host), expected, "{host}");
        }
        let unset = Proxies::default().way("a.test", 443, None);
        assert_eq!(json::text(&unset), r#"{"because":"none"}"#);
    }
}
