//! Logins by GSSAPI (RFC 2744), as MIT Kerberos has it. The library is opened when a proxy asks for a login, and nothing is
//! linked.
//!
//! Its calls may wait for a KDC and cannot be interrupted.

mod english;
mod library;

use std::ptr;

use zeroize::Zeroizing;

use self::english::English;
use self::library::{
    Api, Buffer, CONTINUE_NEEDED, HOST_BASED_SERVICE, Handle, INITIATE, KERBEROS, Oid, OidSet,
    SPNEGO, USER_NAME, is_error,
};
use super::login::{Conversation, Kind, Package, Problem, User};

/// A login at one proxy, from its first message to its last.
pub(crate) struct Negotiation {
    api: &'static Api,
    proxy: Handle,
    credential: Handle,
    context: Handle,
    mechanism: &'static [u8],
    is_complete: bool,
}

// SAFETY: the library binds these objects to no thread, and `&mut self` lets one thread use them at a time.
unsafe impl Send for Negotiation {}

impl Negotiation {
    /// Begins a login at the proxy of this name, as the account of this process or as a user with a password.
    pub(super) fn begin(
        package: Package,
        host: &str,
        user: User<'_>,
    ) -> Result<Negotiation, Problem> {
        let missing = || {
            let text = "the system has no GSSAPI (libgssapi_krb5.so.2)";
            Problem::new(Kind::Missing, text)
        };
        match package {
            Package::Negotiate => {
                let _english = English::begin();
                Negotiation::by(Api::get().ok_or_else(missing)?, SPNEGO, host, user)
            }
            Package::Ntlm => Err(missing()),
        }
    }

    fn by(
        api: &'static Api,
        mechanism: &'static [u8],
        host: &str,
        user: User<'_>,
    ) -> Result<Negotiation, Problem> {
        let mut new = Negotiation {
            api,
            proxy: ptr::null_mut(),
            credential: ptr::null_mut(),
            context: ptr::null_mut(),
            mechanism,
            is_complete: false,
        };
        new.proxy = new.name(&format!("HTTP@{host}"), HOST_BASED_SERVICE)?;
        if let Some((user, password)) = user {
            new.acquire(user, password)?;
        }
        Ok(new)
    }

    fn name(&self, text: &str, kind: &'static [u8]) -> Result<Handle, Problem> {
        let (mut minor, mut name) = (0, ptr::null_mut());
        let (text, kind) = (Buffer::of(text.as_bytes()), Oid::of(kind));
        // SAFETY: all pointers are valid for the call.
        let major = unsafe {
            (self.api.import_name)(&raw mut minor, &raw const text, &raw const kind, &raw mut name)
        };
        match is_error(major) {
            true => Err(self.api.problem(major, minor, &Oid::of(self.mechanism))),
            false => Ok(name),
        }
    }

    /// Gets the credentials of a user, which may ask a KDC.
    fn acquire(&mut self, user: &str, password: &str) -> Result<(), Problem> {
        let mut name = self.name(user, USER_NAME)?;
        let mechanism = Oid::of(self.mechanism);
        let (password, only) =
            (Buffer::of(password.as_bytes()), OidSet { count: 1, elements: &raw const mechanism });
        let mut minor = 0;
        // SAFETY: the name is the library's own, null pointers stand for results that are not wanted, and the others
        // are valid for the call.
        let major = unsafe {
            (self.api.acquire)(
                &raw mut minor,
                name,
                &raw const password,
                0,
                &raw const only,
                INITIATE,
                &raw mut self.credential,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let mut unused = 0;
        // SAFETY: the library made the name, which nobody uses any more.
        unsafe { (self.api.release_name)(&raw mut unused, &raw mut name) };
        match is_error(major) {
            true => Err(self.api.problem(major, minor, &mechanism)),
            false => Ok(()),
        }
    }

    fn advance(&mut self, received: &[u8]) -> Result<Zeroizing<Vec<u8>>, Problem> {
        if self.is_complete {
            return Err(Problem::new(Kind::Other, "the proxy goes on after the last message"));
        }
        let mechanism = Oid::of(self.mechanism);
        let (input, mut output) = (Buffer::of(received), Buffer::empty());
        let mut minor = 0;
        // SAFETY: name, credential and context are the library's own or null, null pointers stand for defaults and for
        // results that are not wanted, and the others are valid for the call.
        let major = unsafe {
            (self.api.init)(
                &raw mut minor,
                self.credential,
                &raw mut self.context,
                self.proxy,
                &raw const mechanism,
                0,
                0,
                ptr::null_mut(),
                &raw const input,
                ptr::null_mut(),
                &raw mut output,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let message = self.api.take(output);
        if is_error(major) {
            return Err(self.api.problem(major, minor, &mechanism));
        }
        self.is_complete = major & CONTINUE_NEEDED == 0;
        Ok(message)
    }
}

impl Conversation for Negotiation {
    fn step(
        &mut self,
        host: &str,
        user: User<'_>,
        received: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let _english = English::begin();
        // Without a ticket Negotiate does not tell why its mechanisms failed. With a user it does, and a KDC that counts
        // wrong passwords is not asked twice.
        let is_unexplained = self.context.is_null() && user.is_none();
        self.advance(received).map_err(|problem| match is_unexplained {
            true => explained(self.api, host).unwrap_or(problem),
            false => problem,
        })
    }
}

impl Drop for Negotiation {
    fn drop(&mut self) {
        let (api, mut minor) = (self.api, 0);
        // SAFETY: the library made the context, or it is null, which it allows here.
        unsafe { (api.delete_context)(&raw mut minor, &raw mut self.context, ptr::null_mut()) };
        // SAFETY: as for the context.
        unsafe { (api.release_credential)(&raw mut minor, &raw mut self.credential) };
        // SAFETY: as for the context.
        unsafe { (api.release_name)(&raw mut minor, &raw mut self.proxy) };
    }
}

/// Why Kerberos alone fails. `None`: it does not.
fn explained(api: &'static Api, host: &str) -> Option<Problem> {
    let login = Negotiation::by(api, KERBEROS, host, None);
    login.and_then(|mut login| login.advance(&[])).err()
}
