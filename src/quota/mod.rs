//! The rate limiter: the service refuses no call while there are no other users of the same quota.
//!
//! The service counts the calls of an endpoint per tenant and application, in windows of a minute and of an hour.
//! Neither its clock nor the start of its windows is visible here, and requests reach it after a delay that varies.
//!
//! # The rule
//!
//! - A call **occupies a slot** from its admission until a whole window after its reply has arrived.
//! - A call is **admitted** only if, in every window of its endpoint, fewer calls than the limit occupy a slot.
//!
//! # The proof
//!
//! Take one window with limit `L`, and let `H` be its hold time ([`Window::hold`](window::Window::hold)): its length,
//! plus a tolerance for the service's clock. On our clock, a window of the service is shorter than `H`.
//!
//! Call `i` is admitted at `a(i)`, the service counts it once, at `s(i)`, and its reply arrives at `r(i)`. These follow
//! each other: `a(i) <= s(i) <= r(i)`. Call `i` occupies its slot from `a(i)` until `r(i) + H`. The log admits one call
//! after the other, also at the same instant.
//!
//! *Claim:* no window of the service holds more than `L` calls. It does not matter whether windows slide or are fixed,
//! where they start, or when between admission and reply the service counts each call.
//!
//! 1. Let `C` be the calls that one window of the service holds. The window is shorter than `H`, so any two calls `i`
//!    and `k` of `C` satisfy `|s(i) - s(k)| < H`.
//! 2. Let `j` be the call of `C` that was admitted last, and `i` any other call of `C`.
//! 3. Call `i` was admitted before `j`, so its slot was taken by then: `a(i) <= a(j)`.
//! 4. Its slot was not free again: `r(i) + H >= s(i) + H > s(j) >= a(j)`.
//! 5. So all calls of `C` but `j` occupied a slot when `j` was admitted. By the rule they were fewer than `L`.
//!    With `j`, `C` has at most `L` calls. ∎
//!
//! Each window of an endpoint is checked at each admission, so the claim holds for all of them. If clients have
//! different limits for a window, `L` is the largest.
//!
//! # Calls without a reply
//!
//! - A call that was never sent is not counted. Its slot is free at once.
//! - A call that was given up may still arrive. `r(i)` is the end of a grace period after that: half a minute, or the
//!   shortest window if it is shorter. The proof assumes that the service counts nothing later.
//! - A process that dies leaves its slots in a shared log. There `r(i)` is the end of the slot's lease.
//!
//! # After a 429
//!
//! The proof needs every call of the tenant and application in the log. Other users may spend the same quota, and then
//! the service refuses a call with 429. The endpoint is then in one of three states. They are those of a circuit breaker,
//! which calls the first one open and the last one closed:
//!
//! - **Closed** until the time that the service named. No call is admitted.
//! - **Half open** after that time. A call is admitted only if no other is in flight; it is a probe.
//! - **Open** again as soon as a probe gets a reply that is no 429. A 429 closes the endpoint again.
//!
//! A probe without a reply changes nothing, and the next call is a probe. Other calls open nothing either: they were
//! admitted before the 429, so their replies show an earlier state of the quota.
//!
//! So while the quota stays spent, the service refuses one call per closed period, however many calls wait. Only calls
//! in flight at the first 429 may be refused as well. The rule of admission applies in every state, and with it the
//! proof.

mod budget;
pub(crate) mod clock;
pub(crate) mod file;
pub(crate) mod ledger;
pub(crate) mod limiter;
pub(crate) mod limits;
mod queue;
pub(crate) mod redis;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod turn;
pub(crate) mod window;
