//! The rate limiter: never refused as long as nobody else spends the same quota.
//!
//! The service counts calls per endpoint, tenant and application in a minute and in an hour. Its clock
//! and the start of its windows are not visible from here, and requests reach it after a delay that
//! varies. So the limiter keeps an exact log: **a call occupies its slot from before it is sent until one
//! whole window after its reply has arrived** (or the attempt is known dead), and a call is admitted only
//! if, in every window of its endpoint, the calls that occupy a slot are fewer than the limit.
//!
//! Then no window of the service, sliding or fixed, ever holds more than the limit, whenever between
//! send and reply it counts a call: let j be the last call of such a window to be admitted, at a_j, and
//! let every other call i in it be counted at s_i. Then s_i > s_j - W >= a_j - W, and the reply to i came
//! at or after s_i, so i still occupied its slot at a_j; hence fewer than the limit are in the window.
//!
//! If somebody else spends the same quota, the service refuses a call with 429. Then the endpoint is closed until
//! the time that the service named, and half open after it: one call at a time goes out, until one is not refused.
//!
//! An attempt that was given up has no reply, and its bytes may arrive after we closed the connection. It
//! counts as answered half a minute later (a shortest window later, if that is less). The proof assumes that
//! nothing arrives after that.

mod budget;
pub(crate) mod clock;
pub(crate) mod file;
pub(crate) mod ledger;
pub(crate) mod limiter;
pub(crate) mod limits;
pub(crate) mod redis;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod window;
