//! Logins in the name of an account that the system knows: GSSAPI on Unix, SSPI on Windows.

use zeroize::Zeroizing;

#[cfg(unix)]
use super::gssapi::Negotiation;
#[cfg(windows)]
use super::sspi::Negotiation;

/// A login that the system makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Package {
    /// Kerberos where it can be had; the system may agree on NTLM with the peer.
    Negotiate,
    #[cfg_attr(not(windows), expect(dead_code, reason = "only Windows has it"))]
    Ntlm,
}

/// A user and its password. Without one the account is that of this process.
pub(crate) type User<'a> = Option<(&'a str, &'a str)>;

/// A login at the proxy of this name, from its first message to its last.
pub(crate) trait Conversation: Send {
    /// The next message for the proxy, after what it sent: nothing before the first one. It may wait for a KDC.
    fn step(
        &mut self,
        host: &str,
        user: User<'_>,
        received: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Problem>;
}

/// Begins a login. It may wait for a KDC.
pub(crate) type Begin = fn(Package, &str, User<'_>) -> Result<Box<dyn Conversation>, Problem>;

/// See [`Begin`].
pub(crate) fn begin(
    package: Package,
    host: &str,
    user: User<'_>,
) -> Result<Box<dyn Conversation>, Problem> {
    Ok(Box::new(Negotiation::begin(package, host, user)?))
}

/// Why there is no login.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub kind: Kind,
    /// In the system's words, which may name the user.
    pub text: String,
}

/// What has to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The system lacks what makes such logins.
    Missing,
    /// The account has no ticket, or no credentials.
    NoTicket,
    /// The ticket has expired.
    Expired,
    /// No key distribution centre (KDC) answers.
    NoKdc,
    /// The clocks differ.
    Clock,
    /// The KDC does not know the proxy by this name.
    UnknownService,
    /// User or password are wrong.
    Refused,
    Other,
}

impl Problem {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Problem {
        Problem { kind, text: text.into() }
    }
}
