//! The proxies of Windows: the setting of the machine, which services use, else that of the user, with its script.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::GlobalFree;
use windows_sys::Win32::Networking::WinHttp::{
    ERROR_WINHTTP_AUTO_PROXY_SERVICE_ERROR, ERROR_WINHTTP_AUTODETECTION_FAILED,
    ERROR_WINHTTP_BAD_AUTO_PROXY_SCRIPT, ERROR_WINHTTP_LOGIN_FAILURE,
    ERROR_WINHTTP_NAME_NOT_RESOLVED, ERROR_WINHTTP_TIMEOUT,
    ERROR_WINHTTP_UNABLE_TO_DOWNLOAD_SCRIPT, WINHTTP_ACCESS_TYPE_NAMED_PROXY,
    WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_AUTO_DETECT_TYPE_DHCP, WINHTTP_AUTO_DETECT_TYPE_DNS_A,
    WINHTTP_AUTOPROXY_AUTO_DETECT, WINHTTP_AUTOPROXY_CONFIG_URL, WINHTTP_AUTOPROXY_OPTIONS,
    WINHTTP_CURRENT_USER_IE_PROXY_CONFIG, WINHTTP_PROXY_INFO, WinHttpCloseHandle,
    WinHttpGetDefaultProxyConfiguration, WinHttpGetIEProxyConfigForCurrentUser,
    WinHttpGetProxyForUrl, WinHttpOpen,
};
use windows_sys::core::PWSTR;

use super::system_proxy::Found;
use crate::text::redact;

/// See [`super::system_proxy::Find`].
pub(crate) fn find(url: &str) -> Found {
    machine().unwrap_or_else(|| user(url))
}

/// A text that the system allocated, possibly null.
struct Text(PWSTR);

impl Text {
    fn read(&self) -> Option<String> {
        if self.0.is_null() {
            return None;
        }
        let mut length = 0;
        loop {
            // SAFETY: the text ends with zero, and this is no place behind it.
            let place = unsafe { self.0.add(length) };
            // SAFETY: as above.
            if unsafe { place.read() } == 0 {
                break;
            }
            length += 1;
        }
        // SAFETY: so many were just read.
        let wide = unsafe { std::slice::from_raw_parts(self.0, length) };
        let text = String::from_utf16_lossy(wide);
        Some(text).filter(|text| !text.trim().is_empty())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the system allocated it for its caller to free.
            unsafe { GlobalFree(self.0.cast()) };
        }
    }
}

/// Takes over what the system filled in.
fn found(info: WINHTTP_PROXY_INFO) -> Found {
    let (proxies, except) = (Text(info.lpszProxy), Text(info.lpszProxyBypass));
    match info.dwAccessType {
        WINHTTP_ACCESS_TYPE_NAMED_PROXY => {
            Found { proxies: proxies.read(), except: except.read(), ..Found::default() }
        }
        _ => Found::default(),
    }
}

/// The setting of the machine (`netsh winhttp`), if it names a proxy.
fn machine() -> Option<Found> {
    let mut info = WINHTTP_PROXY_INFO::default();
    // SAFETY: the pointer is valid for the call.
    let known = unsafe { WinHttpGetDefaultProxyConfiguration(&raw mut info) } != 0;
    let found = known.then(|| found(info))?;
    found.proxies.is_some().then_some(found)
}

/// The setting of the user: its script, if there is one and it works, else its list.
fn user(url: &str) -> Found {
    let mut config = WINHTTP_CURRENT_USER_IE_PROXY_CONFIG::default();
    // SAFETY: the pointer is valid for the call.
    if unsafe { WinHttpGetIEProxyConfigForCurrentUser(&raw mut config) } == 0 {
        return Found::default();
    }
    let script = Text(config.lpszAutoConfigUrl);
    let (proxies, except) = (Text(config.lpszProxy), Text(config.lpszProxyBypass));
    let list = Found { proxies: proxies.read(), except: except.read(), ..Found::default() };
    let address = script.read();
    let detect = config.fAutoDetect != 0;
    if address.is_none() && !detect {
        return list;
    }
    match by_script(url, &script, detect) {
        Ok(found) => found,
        // Windows looks for a script where nobody has set one. That there is none is usual.
        Err(error) => Found { problem: address.map(|address| explain(&address, error)), ..list },
    }
}

/// Asks the script of the network, if it may be looked for, and then the one that is set.
fn by_script(url: &str, script: &Text, detect: bool) -> Result<Found, u32> {
    let last_error = || io::Error::last_os_error().raw_os_error().unwrap_or_default() as u32;
    // SAFETY: null pointers stand for names that are not wanted.
    let session = unsafe {
        WinHttpOpen(ptr::null(), WINHTTP_ACCESS_TYPE_NO_PROXY, ptr::null(), ptr::null(), 0)
    };
    if session.is_null() {
        return Err(last_error());
    }
    let wide: Vec<u16> = url.encode_utf16().chain([0]).collect();
    let ask = |detect: bool, log_in: bool| {
        let mut options = WINHTTP_AUTOPROXY_OPTIONS {
            fAutoLogonIfChallenged: log_in.into(),
            ..WINHTTP_AUTOPROXY_OPTIONS::default()
        };
        if detect {
            options.dwFlags |= WINHTTP_AUTOPROXY_AUTO_DETECT;
            options.dwAutoDetectFlags =
                WINHTTP_AUTO_DETECT_TYPE_DHCP | WINHTTP_AUTO_DETECT_TYPE_DNS_A;
        } else {
            options.dwFlags |= WINHTTP_AUTOPROXY_CONFIG_URL;
            options.lpszAutoConfigUrl = script.0;
        }
        let mut info = WINHTTP_PROXY_INFO::default();
        // SAFETY: the session is open, the texts end with zero, and the other pointers are valid for the call.
        let done = unsafe {
            WinHttpGetProxyForUrl(session, wide.as_ptr(), &raw mut options, &raw mut info)
        };
        if done == 0 { Err(last_error()) } else { Ok(Found { is_detected: detect, ..found(info) }) }
    };
    let mut answer = Err(ERROR_WINHTTP_AUTODETECTION_FAILED);
    if detect {
        // Nobody on this host has named its server, so it gets no login.
        answer = ask(true, false);
    }
    if answer.is_err() && !script.0.is_null() {
        // Without a login the system may answer from its cache.
        answer = match ask(false, false) {
            Err(ERROR_WINHTTP_LOGIN_FAILURE) => ask(false, true),
            other => other,
        };
    }
    // SAFETY: opened above, and closed once.
    unsafe { WinHttpCloseHandle(session) };
    answer
}

/// The system has no words for these errors.
fn explain(script: &str, error: u32) -> String {
    let why = match error {
        ERROR_WINHTTP_UNABLE_TO_DOWNLOAD_SCRIPT | ERROR_WINHTTP_AUTODETECTION_FAILED => {
            "it could not be downloaded"
        }
        ERROR_WINHTTP_BAD_AUTO_PROXY_SCRIPT => "it has an error",
        ERROR_WINHTTP_AUTO_PROXY_SERVICE_ERROR => "the service that runs it does not work",
        ERROR_WINHTTP_LOGIN_FAILURE => "its server refuses this account",
        ERROR_WINHTTP_NAME_NOT_RESOLVED => "its host is not known",
        ERROR_WINHTTP_TIMEOUT => "its server did not answer in time",
        _ => "for a reason without words",
    };
    format!("the proxy script {} was not used: {why} ({error})", redact::clean(script, 128))
}
