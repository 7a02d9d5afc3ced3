//! Tokens from the host's callback. No allocator crosses the border: the host fills a sink.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use zeroize::Zeroizing;

use super::log::UserData;
use super::{guard, ptr};
use crate::error::Error;
use crate::sign_in::Token;
use crate::sign_in::provider::{ProvidedToken, TokenProvider};

/// Where a token callback puts its token. Valid during that call of the callback only.
pub struct mde_token {
    token: Option<Zeroizing<String>>,
    expires_in: Duration,
}

/// Gets an access token for `scope` and hands it over with mde_token_set(). Returns 0 on success; any
/// other value fails the call that needs the token with MDE_ERR_TOKEN and names the value. `scope` and
/// `sink` are valid during the call only. Must not throw or longjmp, nor free or shut down the client.
pub type mde_token_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, scope: *const c_char, sink: *mut mde_token) -> i32,
>;

/// Hands over a token from inside a token callback. The token is copied. `expires_in_seconds`: how long
/// it is valid from now on; 0 if unknown, and then the callback is asked again for every request.
/// MDE_ERR_INVALID_ARGUMENT: the token is empty, longer than 32 KiB, or has blanks, line breaks or other
/// characters that are not visible ASCII.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_token_set(
    sink: *mut mde_token,
    token: *const c_char,
    expires_in_seconds: u64,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers"); the sink is used by this callback alone.
        let sink = unsafe { ptr::handle_mut(sink, "sink") }?;
        // SAFETY: as above.
        let token = unsafe { ptr::text(token, "token") }?;
        if !Token::is_usable(token) {
            return Err(Error::argument("token", "is no access token", "visible ASCII characters"));
        }
        sink.token = Some(Zeroizing::new(token.to_owned()));
        sink.expires_in = Duration::from_secs(expires_in_seconds);
        Ok(())
    })
}

type TokenFn = unsafe extern "C" fn(*mut c_void, *const c_char, *mut mde_token) -> i32;

/// The host's callback as the core sees it.
pub(super) struct Callback {
    callback: TokenFn,
    user_data: UserData,
}

impl Callback {
    pub(super) fn new(callback: TokenFn, user_data: UserData) -> Callback {
        Callback { callback, user_data }
    }
}

impl TokenProvider for Callback {
    fn token(&self, scope: &str) -> Result<ProvidedToken, String> {
        let scope = CString::new(scope).map_err(|_| "the scope holds U+0000".to_owned())?;
        let mut sink = mde_token { token: None, expires_in: Duration::ZERO };
        // SAFETY: the caller gave this function for this purpose; scope and sink outlive the call.
        let returned =
            unsafe { (self.callback)(self.user_data.get(), scope.as_ptr(), &raw mut sink) };
        match (returned, sink.token) {
            (0, Some(token)) => Ok(ProvidedToken { token, expires_in: Some(sink.expires_in) }),
            (0, None) => Err("the callback returned 0 without calling mde_token_set".to_owned()),
            (code, _) => Err(format!("the callback returned {code}")),
        }
    }
}
