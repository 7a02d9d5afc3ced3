//! Text and its formats: JSON, URLs, escaping, redaction. Nothing here uses networks or files, or knows the service.

pub(crate) mod byte_order_mark;
pub(crate) mod escape;
pub(crate) mod guid;
pub(crate) mod hex;
pub(crate) mod invisible;
pub(crate) mod json;
pub(crate) mod json_pointer;
pub(crate) mod redact;
pub(crate) mod room;
pub(crate) mod seconds;
pub(crate) mod secret_line;
pub(crate) mod secret_url;
pub(crate) mod surrogates;
pub(crate) mod url;
pub(crate) mod windows_name;
