//! What is wrong with a login at a proxy, and what to change.

use super::{Allowed, Logins, Scheme};
use crate::http::proxy::Proxy;
use crate::http::proxy::challenge::Challenge;
use crate::os::login::{Kind, Problem};
use crate::text::redact;

pub(super) fn whose(proxy: &Proxy) -> String {
    match proxy.has_login() {
        true => format!("as the user of {}", proxy.place_of_login()),
        false => "as the account of this process".to_owned(),
    }
}

fn offers(challenge: &Challenge, scheme: Scheme) -> bool {
    challenge.offer(scheme.name()).is_some()
}

/// The proxy does not take a login.
pub(super) fn refused(scheme: Scheme, challenge: &Challenge, proxy: &Proxy) -> String {
    let advice = match scheme {
        Scheme::Basic => {
            format!("check the login in {}, and what the proxy allows", proxy.place_of_login())
        }
        _ => "check that the proxy knows and allows this account, the name of its own service principal, and both clocks"
            .to_owned(),
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
        let (has_login, place) = (proxy.has_login(), proxy.place_of_login());
        let is_of_windows = proxy.user().is_some_and(|(user, _)| user.contains('\\'));
        let advice = match problem.kind {
            Kind::Missing if cfg!(windows) => {
                "let the proxy offer a kind that this Windows has".to_owned()
            }
            Kind::Missing => {
                "install and set up MIT Kerberos (Debian: libgssapi-krb5-2, /etc/krb5.conf)".to_owned()
            }
            _ if is_of_windows && cfg!(not(windows)) => {
                format!("write the user as user@REALM in {place}, since DOMAIN\\user is for Windows")
            }
            Kind::NoTicket if cfg!(windows) => {
                format!("run as an account of the domain, or put user and password into {place}")
            }
            Kind::NoTicket => format!(
                "get a ticket (kinit), give the process a keytab (KRB5_CLIENT_KTNAME), or put user and password into \
                 {place}"
            ),
            Kind::Expired => {
                "renew the ticket (kinit), or give the process a keytab (KRB5_CLIENT_KTNAME)".to_owned()
            }
            Kind::NoKdc => {
                "check that this host finds and reaches a key distribution centre (KDC) of the realm"
                    .to_owned()
            }
            Kind::Clock => "set the clock of this host right".to_owned(),
            Kind::UnknownService => format!(
                "name the proxy in {} as its service principal (HTTP/name) does, or register that",
                proxy.setting()
            ),
            Kind::Refused if has_login => format!("check user and password in {place}"),
            Kind::Refused => "check the account of this process".to_owned(),
            Kind::Other => {
                "check how this host is set up for it, and what the proxy expects".to_owned()
            }
        };
        let offers_basic = offers(challenge, Scheme::Basic);
        let or = match problem.kind {
            Kind::Missing if cfg!(not(windows)) && !offers_basic => {
                ", or let the proxy offer Basic".to_owned()
            }
            _ if !offers_basic || !self.allowed.basic => String::new(),
            _ if has_login => {
                "; or set `proxy_auth=basic`, which sends the password unencrypted".to_owned()
            }
            Kind::NoTicket => String::new(),
            _ => format!("; or put user and password into {place}"),
        };
        let (name, whose, text) = (scheme.name(), whose(proxy), redact::clean(&text, 200));
        format!("the login by {name} {whose} failed: {text}; {advice}{or}")
    }

    /// Nothing that is offered may be used.
    pub(super) fn none_usable(&self, challenge: &Challenge, proxy: &Proxy) -> String {
        let offers = |scheme: Scheme| offers(challenge, scheme);
        let Allowed { negotiate, ntlm, basic } = self.allowed;
        let has_ntlm = Scheme::Ntlm.package().is_some();
        let is_kept_back =
            (offers(Scheme::Negotiate) && negotiate) || (offers(Scheme::Ntlm) && ntlm && has_ntlm);
        let is_excluded = (offers(Scheme::Negotiate) && !negotiate)
            || (offers(Scheme::Ntlm) && !ntlm && has_ntlm)
            || (offers(Scheme::Basic) && !basic && proxy.has_login());
        let advice = if is_kept_back && !proxy.may_have_account() {
            "the network named this proxy by automatic detection, and gets no login of this account; set `proxy` to this \
             proxy to allow the login of the account"
        } else if is_excluded {
            "`proxy_auth` allows none of it; allow one there"
        } else if (offers(Scheme::Basic) || challenge.offers.is_empty()) && basic {
            let place = proxy.place_of_login();
            return format!("put user and password into {place}: http://user:password@host:port");
        } else if offers(Scheme::Ntlm) {
            "NTLM is supported on Windows only; let the proxy offer Negotiate or Basic, allow these hosts without a \
             login, or let a local proxy sign in"
        } else {
            "this library knows Negotiate, Basic, and NTLM on Windows; allow these hosts without a login, or let a local \
             proxy sign in"
        };
        advice.to_owned()
    }
}
