//! What is wrong with a login at a proxy, and what to change.

use super::{Allowed, Logins, Scheme};
use crate::http::proxy::Proxy;
use crate::http::proxy::challenge::Challenge;
use crate::os::login::{Kind, Problem};
use crate::text::redact;

pub(super) fn whose(proxy: &Proxy) -> &'static str {
    match proxy.has_login() {
        true => "as the user of `proxy`",
        false => "as the account of this process",
    }
}

fn offers(challenge: &Challenge, scheme: Scheme) -> bool {
    challenge.offer(scheme.name()).is_some()
}

/// The proxy does not take a login.
pub(super) fn refused(scheme: Scheme, challenge: &Challenge, proxy: &Proxy) -> String {
    let advice = match scheme {
        Scheme::Basic => "check the login in `proxy`, and what the proxy allows",
        _ => {
            "check that the proxy knows and allows this account, the name of its own service principal, and both clocks"
        }
    };
    let (name, whose, names) = (scheme.name(), whose(proxy), challenge.names());
    format!("it refuses the login (407) by {name} {whose} and offers {names}; {advice}")
}

impl Logins {
    /// The system does not make a login.
    pub(super) fn failed(
        &self,
        scheme: Scheme,
        challenge: &Challenge,
        proxy: &Proxy,
        problem: &Problem,
    ) -> String {
        let mut text = problem.text.clone();
        proxy.mask(&mut text);
        redact::mask(&mut text, &[proxy.user().map_or("", |(user, _)| user)]);
        let has_login = proxy.has_login();
        let advice = match problem.kind {
            Kind::Missing if cfg!(windows) => "let the proxy offer a kind that this Windows has",
            Kind::Missing => {
                "install and set up MIT Kerberos (Debian: libgssapi-krb5-2, /etc/krb5.conf)"
            }
            Kind::NoTicket if cfg!(windows) => {
                "run as an account of the domain, or put user and password into `proxy`"
            }
            Kind::NoTicket => {
                "get a ticket (kinit), give the process a keytab (KRB5_CLIENT_KTNAME), or put user and password into \
                 `proxy`"
            }
            Kind::Expired => {
                "renew the ticket (kinit), or give the process a keytab (KRB5_CLIENT_KTNAME)"
            }
            Kind::NoKdc => {
                "check that this host finds and reaches a key distribution centre (KDC) of the realm"
            }
            Kind::Clock => "set the clock of this host right",
            Kind::UnknownService => {
                "name the proxy in `proxy` as its service principal (HTTP/name) does, or register that"
            }
            Kind::Refused if has_login => "check user and password in `proxy`",
            Kind::Refused => "check the account of this process",
            Kind::Other => "check how this host is set up for it, and what the proxy expects",
        };
        let offers_basic = offers(challenge, Scheme::Basic);
        let or = match problem.kind {
            Kind::Missing if cfg!(not(windows)) && !offers_basic => {
                ", or let the proxy offer Basic"
            }
            _ if !offers_basic || !self.allowed.basic => "",
            _ if has_login => "; or set `proxy_auth=basic`, which sends the password unencrypted",
            Kind::NoTicket => "",
            _ => "; or put user and password into `proxy`",
        };
        let (name, whose, text) = (scheme.name(), whose(proxy), redact::clean(&text, 200));
        format!("the login by {name} {whose} failed: {text}; {advice}{or}")
    }

    /// Nothing that is offered may be used.
    pub(super) fn none_usable(&self, challenge: &Challenge, proxy: &Proxy) -> &'static str {
        let offers = |scheme: Scheme| offers(challenge, scheme);
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let has_ntlm = Scheme::Ntlm.package().is_some();
        let is_kept_back =
            (offers(Scheme::Negotiate) && negotiate) || (offers(Scheme::Ntlm) && ntlm && has_ntlm);
        let is_excluded = (offers(Scheme::Negotiate) && !negotiate)
            || (offers(Scheme::Ntlm) && !ntlm && has_ntlm)
            || (offers(Scheme::Basic) && !basic && proxy.has_login());
        if is_kept_back && !proxy.may_have_account() {
            "the network named this proxy by automatic detection, and gets no login of this account; set `proxy` to this \
             proxy to allow the login of the account"
        } else if is_excluded {
            "`proxy_auth` allows none of it; allow one there"
        } else if (offers(Scheme::Basic) || challenge.offers.is_empty()) && basic {
            "put user and password into `proxy`"
        } else if offers(Scheme::Ntlm) {
            "NTLM is supported on Windows only; let the proxy offer Negotiate or Basic, allow these hosts without a \
             login, or let a local proxy sign in"
        } else {
            "this library knows Negotiate, Basic, and NTLM on Windows; allow these hosts without a login, or let a local \
             proxy sign in"
        }
    }
}
