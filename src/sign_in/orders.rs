//! Tokens for threads of the library, which must not call back into the host.
//!
//! Such a thread orders its token from the operation that it works for, and waits on its own call. The operation gets the
//! token on the thread of its caller.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Token, stopped};
use crate::call::{Call, Signal};
use crate::error::Result;

/// The calls that wait for a token of their operation.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Vec<Order>>);

#[derive(Debug)]
struct Order {
    operation: Arc<Signal>,
    /// The signal of the call that waits.
    waiting: Arc<Signal>,
    token: Option<Result<Token>>,
}

impl Order {
    fn is_open_at(&self, operation: &Arc<Signal>) -> bool {
        self.token.is_none() && Arc::ptr_eq(&self.operation, operation)
    }
}

impl Orders {
    /// Waits until the operation has a token for this call, or the reason why there is none.
    pub(super) fn wait(&self, call: &Call, operation: &Arc<Signal>) -> Result<Token> {
        let (operation, waiting) = (Arc::clone(operation), Arc::clone(call.signal()));
        self.0.lock().push(Order { operation: Arc::clone(&operation), waiting, token: None });
        // A call that is stopped needs no token.
        let placed = Placed { orders: self, call };
        operation.wake();
        loop {
            if let Some(token) = placed.token() {
                return token;
            }
            call.wait(None).map_err(stopped)?;
        }
    }

    /// Gets a token for each call that waits for this operation. A failure is that of all, since each would fail so.
    pub(super) fn serve(&self, operation: &Arc<Signal>, get: &mut dyn FnMut() -> Result<Token>) {
        while self.0.lock().iter().any(|order| order.is_open_at(operation)) {
            let token = get();
            let most = if token.is_ok() { 1 } else { usize::MAX };
            let mut orders = self.0.lock();
            for order in orders.iter_mut().filter(|it| it.is_open_at(operation)).take(most) {
                order.token = Some(token.clone());
                order.waiting.wake();
            }
        }
    }
}

/// An order. It is gone when this is dropped.
struct Placed<'a> {
    orders: &'a Orders,
    call: &'a Call,
}

impl Placed<'_> {
    fn is_own(&self, order: &Order) -> bool {
        Arc::ptr_eq(&order.waiting, self.call.signal())
    }

    fn token(&self) -> Option<Result<Token>> {
        let mut orders = self.orders.0.lock();
        orders.iter_mut().find(|order| self.is_own(order))?.token.take()
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        self.orders.0.lock().retain(|order| !self.is_own(order));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::{Cancel, Running};
    use crate::error::{Error, Stage};
    use crate::status::Status;

    fn operation() -> Call {
        Call::begin(&Arc::<Running>::default(), Some(Duration::from_secs(60)), None)
    }

    fn wait(orders: &Orders, beside: &Call) -> Result<Token> {
        orders.wait(beside, beside.operation().unwrap())
    }

    /// Serves until as many calls have what they ordered.
    fn serve(orders: &Orders, call: &Call, get: &mut dyn FnMut() -> Result<Token>, until: usize) {
        let mut gets = 0;
        while gets < until {
            call.wait(None).unwrap();
            orders.serve(call.signal(), &mut || {
                gets += 1;
                get()
            });
        }
    }

    #[test]
    fn each_order_has_a_token_of_its_own_from_the_thread_of_the_operation() {
        let (orders, call, stop) = (Orders::default(), operation(), Cancel::new(None));
        let here = std::thread::current().id();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| wait(&orders, &call.beside(&stop)).unwrap()))
                .collect();
            let mut number = 0;
            let mut get = || {
                assert_eq!(std::thread::current().id(), here);
                number += 1;
                Token::new(&format!("token-{number}"), None)
            };
            serve(&orders, &call, &mut get, 4);
            let tokens = threads.into_iter().map(|it| it.join().unwrap().text().to_owned());
            let mut tokens: Vec<String> = tokens.collect();
            tokens.sort();
            assert_eq!(tokens, ["token-1", "token-2", "token-3", "token-4"]);
        });
        assert!(orders.0.lock().is_empty());
    }

    #[test]
    fn a_failure_is_that_of_all_who_wait() {
        let (orders, call, stop) = (Orders::default(), operation(), Cancel::new(None));
        let other = operation();
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..3).map(|_| scope.spawn(|| wait(&orders, &call.beside(&stop)))).collect();
            let of_other = scope.spawn(|| wait(&orders, &other.beside(&stop)));
            while orders.0.lock().len() < 4 {
                std::thread::yield_now();
            }
            serve(&orders, &call, &mut || Err(Error::new(Status::Token, "no")), 1);
            for thread in threads {
                assert_eq!(thread.join().unwrap().unwrap_err().status(), Status::Token);
            }
            // Another operation gets its own.
            assert_eq!(orders.0.lock().len(), 1);
            serve(&orders, &other, &mut || Token::new("t", None), 1);
            of_other.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_call_that_is_stopped_waits_no_longer() {
        let (orders, call, stop) = (Orders::default(), operation(), Cancel::new(None));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| wait(&orders, &call.beside(&stop)));
            call.wait(None).unwrap();
            stop.trigger();
            let error = thread.join().unwrap().unwrap_err();
            assert_eq!((error.status(), error.stage()), (Status::Cancelled, Some(Stage::Token)));
        });
        orders.serve(call.signal(), &mut || panic!("nobody waits"));
    }
}
