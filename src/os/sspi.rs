//! SSPI: logins as Windows makes them, by Kerberos or NTLM. Its calls may wait for a domain controller.

use std::ffi::c_void;
use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::{
    SEC_E_CONTEXT_EXPIRED, SEC_E_LOGON_DENIED, SEC_E_NO_AUTHENTICATING_AUTHORITY,
    SEC_E_NO_CREDENTIALS, SEC_E_SECPKG_NOT_FOUND, SEC_E_TARGET_UNKNOWN, SEC_E_TIME_SKEW,
    SEC_E_UNKNOWN_CREDENTIALS, SEC_E_WRONG_PRINCIPAL, SEC_I_COMPLETE_AND_CONTINUE,
    SEC_I_COMPLETE_NEEDED, SEC_I_CONTINUE_NEEDED,
};
use windows_sys::Win32::Security::Authentication::Identity::{
    AcquireCredentialsHandleW, CompleteAuthToken, DeleteSecurityContext, FreeContextBuffer,
    FreeCredentialsHandle, ISC_REQ_ALLOCATE_MEMORY, ISC_REQ_CONNECTION, InitializeSecurityContextW,
    SECBUFFER_TOKEN, SECBUFFER_VERSION, SECPKG_CRED_OUTBOUND, SECURITY_NATIVE_DREP, SecBuffer,
    SecBufferDesc,
};
use windows_sys::Win32::Security::Credentials::SecHandle;
use windows_sys::Win32::System::Rpc::{SEC_WINNT_AUTH_IDENTITY_UNICODE, SEC_WINNT_AUTH_IDENTITY_W};
use windows_sys::core::HRESULT;
use zeroize::{Zeroize, Zeroizing};

use super::io_error::reason;
use super::login::{Conversation, Kind, Package, Problem, User};

/// A login at one proxy, from its first message to its last.
pub(crate) struct Negotiation {
    credentials: SecHandle,
    /// `None` before the first message.
    context: Option<SecHandle>,
    is_complete: bool,
}

fn wide(text: &str) -> Zeroizing<Vec<u16>> {
    let mut wide = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    wide.extend(text.encode_utf16());
    wide.push(0);
    wide
}

fn problem(status: HRESULT) -> Problem {
    let kind = match status {
        SEC_E_SECPKG_NOT_FOUND => Kind::Missing,
        SEC_E_NO_CREDENTIALS | SEC_E_UNKNOWN_CREDENTIALS => Kind::NoTicket,
        SEC_E_CONTEXT_EXPIRED => Kind::Expired,
        SEC_E_NO_AUTHENTICATING_AUTHORITY => Kind::NoKdc,
        SEC_E_TIME_SKEW => Kind::Clock,
        SEC_E_TARGET_UNKNOWN | SEC_E_WRONG_PRINCIPAL => Kind::UnknownService,
        SEC_E_LOGON_DENIED => Kind::Refused,
        _ => Kind::Other,
    };
    Problem::new(kind, reason(&io::Error::from_raw_os_error(status)))
}

impl Negotiation {
    /// Begins a login as the account of this process or as a user with a password.
    pub(super) fn begin(package: Package, _: &str, user: User<'_>) -> Result<Negotiation, Problem> {
        let package = match package {
            Package::Negotiate => "Negotiate",
            Package::Ntlm => "NTLM",
        };
        let name = wide(package);
        let (domain, user, password) = match user {
            None => Default::default(),
            Some((user, password)) => {
                // The other form, user@domain, is a user without a domain here.
                let (domain, user) = user.split_once('\\').unwrap_or(("", user));
                (wide(domain), wide(user), wide(password))
            }
        };
        let length = |text: &Zeroizing<Vec<u16>>| text.len().saturating_sub(1) as u32;
        let identity = SEC_WINNT_AUTH_IDENTITY_W {
            User: user.as_ptr().cast_mut(),
            UserLength: length(&user),
            Domain: domain.as_ptr().cast_mut(),
            DomainLength: length(&domain),
            Password: password.as_ptr().cast_mut(),
            PasswordLength: length(&password),
            Flags: SEC_WINNT_AUTH_IDENTITY_UNICODE,
        };
        let account: *const c_void = match user.is_empty() {
            true => ptr::null(),
            false => (&raw const identity).cast(),
        };
        let (mut credentials, mut expiry) = (SecHandle::default(), 0);
        // SAFETY: the texts and the identity, which end with zero or have a length, are only read during the call. Null
        // pointers stand for defaults, and the others are valid for the call.
        let status = unsafe {
            AcquireCredentialsHandleW(
                ptr::null(),
                name.as_ptr(),
                SECPKG_CRED_OUTBOUND,
                ptr::null(),
                account,
                None,
                ptr::null(),
                &raw mut credentials,
                &raw mut expiry,
            )
        };
        match status {
            0 => Ok(Negotiation { credentials, context: None, is_complete: false }),
            _ => Err(problem(status)),
        }
    }
}

impl Conversation for Negotiation {
    fn step(
        &mut self,
        host: &str,
        _: User<'_>,
        received: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Problem> {
        if self.is_complete {
            return Err(Problem::new(Kind::Other, "the proxy goes on after the last message"));
        }
        let token = |length: usize, value: *mut c_void| SecBuffer {
            cbBuffer: length as u32,
            BufferType: SECBUFFER_TOKEN,
            pvBuffer: value,
        };
        let list = |buffer: *mut SecBuffer| SecBufferDesc {
            ulVersion: SECBUFFER_VERSION,
            cBuffers: 1,
            pBuffers: buffer,
        };
        let target = wide(&format!("HTTP/{host}"));
        let mut input = token(received.len(), received.as_ptr().cast_mut().cast());
        let input = list(&raw mut input);
        let mut output = token(0, ptr::null_mut());
        let mut answer = list(&raw mut output);
        let (mut attributes, mut expiry) = (0, 0);
        let before = self.context.as_ref();
        let mut context = before.copied().unwrap_or_default();
        // SAFETY: the handles are open, the first call has no context and no input, what is only read is not written
        // to, and all pointers are valid for the call.
        let status = unsafe {
            InitializeSecurityContextW(
                &raw const self.credentials,
                before.map_or(ptr::null(), ptr::from_ref),
                target.as_ptr(),
                ISC_REQ_ALLOCATE_MEMORY | ISC_REQ_CONNECTION,
                0,
                SECURITY_NATIVE_DREP,
                before.map_or(ptr::null(), |_| &raw const input),
                0,
                &raw mut context,
                &raw mut answer,
                &raw mut attributes,
                &raw mut expiry,
            )
        };
        if status < 0 {
            return Err(problem(status));
        }
        self.context = Some(context);
        if matches!(status, SEC_I_COMPLETE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE) {
            // SAFETY: the context is open, and the message is that of the call before.
            let status = unsafe { CompleteAuthToken(&raw const context, &raw const answer) };
            if status < 0 {
                take(output);
                return Err(problem(status));
            }
        }
        self.is_complete = !matches!(status, SEC_I_CONTINUE_NEEDED | SEC_I_COMPLETE_AND_CONTINUE);
        Ok(take(output))
    }
}

/// Takes the bytes out of a buffer that the system allocated, and frees it.
fn take(buffer: SecBuffer) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if !buffer.pvBuffer.is_null() {
        let (value, length) = (buffer.pvBuffer.cast::<u8>(), buffer.cbBuffer as usize);
        // SAFETY: the system filled the buffer, which nobody else has.
        let own = unsafe { std::slice::from_raw_parts_mut(value, length) };
        bytes.extend_from_slice(own);
        own.zeroize();
        // SAFETY: the system allocated the buffer, which nobody uses any more.
        unsafe { FreeContextBuffer(buffer.pvBuffer) };
    }
    bytes
}

impl Drop for Negotiation {
    fn drop(&mut self) {
        if let Some(context) = &self.context {
            // SAFETY: the context is open, and nobody uses it any more.
            unsafe { DeleteSecurityContext(context) };
        }
        // SAFETY: the handle is open, and nobody uses it any more.
        unsafe { FreeCredentialsHandle(&raw const self.credentials) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    /// Wine takes it from Samba.
    #[test]
    fn a_login_of_a_user_by_ntlm_begins_with_its_first_message() {
        let is_wine = Path::new("Z:\\usr\\bin").exists();
        let is_there = !is_wine || Path::new("Z:\\usr\\bin\\ntlm_auth").exists();
        let user = Some(("DOMAIN\\user", "password"));
        let login = Negotiation::begin(Package::Ntlm, "proxy.test", user);
        let first = login.and_then(|mut login| login.step("proxy.test", user, b""));
        match is_there {
            true => assert!(first.unwrap().starts_with(b"NTLMSSP\0\x01")),
            false => assert_eq!(first.unwrap_err().kind, Kind::Missing),
        }
    }

    /// Wine has no Kerberos for it.
    #[test]
    fn a_login_begins_or_its_problem_has_words() {
        for package in [Package::Negotiate, Package::Ntlm] {
            for user in [None, Some(("DOMAIN\\user", "password")), Some(("user@domain", ""))] {
                let login = Negotiation::begin(package, "proxy.test", user);
                let first = login.and_then(|mut login| login.step("proxy.test", user, b""));
                match first {
                    Ok(message) => assert!(message.len() > 16, "{message:?}"),
                    Err(problem) => assert!(problem.text.len() > 8, "{problem:?}"),
                }
            }
        }
    }
}
