//! The options of the feature `redis`. Tests know them without it too, for `docs/options.md`.

use super::Options;
use super::table::{Checked, Spec, text};

pub(super) const QUOTA_REDIS: Spec = text(
    "quota_redis",
    ACCEPTED,
    "none: each process keeps its own log",
    "A Redis (5 or newer) or Valkey server through which all processes that use it, on any number of hosts, share \
     one quota; instead of `quota_file`. Its memory policy must be `noeviction`. Only in a library built with the \
     feature `redis`.",
    set_url,
);

pub(super) const QUOTA_REDIS_FALLBACK: Spec = text(
    "quota_redis_fallback",
    "local, local:1 to local:100, or fail",
    "local",
    "What to do while that server cannot be used: go on with what this process has counted itself, with that \
     percentage of the limits, or send nothing and fail with rate_limited. With `fail`, nothing is sent either \
     until its log reaches back a whole window after it was lost, for instance by a restart. Only in a library \
     built with the feature `redis`.",
    set_fallback,
);

const ACCEPTED: &str = "redis://[user:password@]host[:port][/database], or rediss:// for TLS, with user and \
     password percent-encoded";

#[cfg(not(feature = "redis"))]
fn set_url(_: &mut Options, _: &str) -> Checked {
    Err("does not exist without the feature".to_owned())
}

#[cfg(not(feature = "redis"))]
fn set_fallback(options: &mut Options, value: &str) -> Checked {
    set_url(options, value)
}

#[cfg(feature = "redis")]
fn set_url(options: &mut Options, value: &str) -> Checked {
    options.quota_redis = Some(crate::quota::redis::Target::parse(value)?);
    Ok(())
}

#[cfg(feature = "redis")]
fn set_fallback(options: &mut Options, value: &str) -> Checked {
    let fallback = crate::quota::redis::Fallback::parse(value);
    options.quota_redis_fallback = fallback.ok_or("has an unknown value")?;
    Ok(())
}
