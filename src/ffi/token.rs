//! Tokens from the host's callback. The host sets the token through a handle, so that no allocator crosses the ABI.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use zeroize::Zeroizing;

use super::library::mde_status;
use super::user_data::UserData;
use super::{guard, ptr};
use crate::error::Error;
use crate::os;
use crate::sign_in::Token;
use crate::sign_in::provider::{ProvidedToken, TokenProvider};

/// Receives the token of a token callback. Valid during that call of the callback only.
pub struct mde_token_sink {
    token: Option<Zeroizing<String>>,
    expires_in: Duration,
    /// Why the last token was refused.
    refused: Option<String>,
}

/// Gets an access token and passes it to mde_token_set().
///
/// Called on the thread that made the call that needs a token, by one thread at a time per client. It must not free or
/// shut down the client. Nothing may leave it but a return: an exception ends the process.
/// @param user_data As given to mde_options_set_token_provider().
/// @param token_scope The scope of the token: the option scope, or the documented scope of the cloud; valid during the
/// call only.
/// @param sink For mde_token_set(); valid during the call only.
/// @return 0 on success. Any other value fails the call with MDE_ERR_TOKEN, whose message has the value.
pub type mde_token_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        token_scope: *const c_char,
        sink: *mut mde_token_sink,
    ) -> i32,
>;

/// Sets the token from inside a token callback.
/// @param sink The sink that the callback received.
/// @param token The access token alone, without the word Bearer; it is copied.
/// @param expires_in_seconds How long it is valid from now. 0: unknown, and the callback is called for every request.
/// @retval MDE_OK The token is set.
/// @retval MDE_ERR_NULL sink or token is NULL.
/// @retval MDE_ERR_UTF8 The token is not UTF-8.
/// @retval MDE_ERR_INVALID_ARGUMENT The token is empty, longer than 32 KiB, or not of visible ASCII characters alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_token_set(
    sink: *mut mde_token_sink,
    token: *const c_char,
    expires_in_seconds: u64,
) -> mde_status {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers"); the sink is used by this callback alone.
        let sink = unsafe { ptr::handle_mut(sink, "sink") }?;
        // SAFETY: as above.
        let token = unsafe { ptr::text(token, "token") }.and_then(usable);
        sink.refused = token.as_ref().err().map(|error| error.message().to_owned());
        let token = token?;
        sink.token = Some(Zeroizing::new(token.to_owned()));
        sink.expires_in = Duration::from_secs(expires_in_seconds);
        Ok(())
    })
}

fn usable(token: &str) -> Result<&str, Error> {
    let accepted = "visible ASCII characters, without the word Bearer";
    match Token::is_usable(token) {
        true => Ok(token),
        false => Err(Error::argument("token", "is no access token", accepted)),
    }
}

type TokenFn = unsafe extern "C-unwind" fn(*mut c_void, *const c_char, *mut mde_token_sink) -> i32;

/// The host's callback as a [`TokenProvider`].
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
        let mut sink = mde_token_sink { token: None, expires_in: Duration::ZERO, refused: None };
        let (callback, user_data) = (self.callback, self.user_data.get());
        let mut returned = 0;
        os::callback::call(&mut || {
            // SAFETY: the caller gave this function for this purpose; scope and sink outlive the call.
            returned = unsafe { callback(user_data, scope.as_ptr(), &raw mut sink) };
        });
        match (returned, sink.token) {
            (0, Some(token)) => Ok(ProvidedToken { token, expires_in: Some(sink.expires_in) }),
            (0, None) => Err("the callback returned 0 without calling mde_token_set".to_owned()),
            (code, _) => Err(match sink.refused {
                Some(why) => format!("the callback returned {code}, and mde_token_set: {why}"),
                None => format!("the callback returned {code}"),
            }),
        }
    }
}
