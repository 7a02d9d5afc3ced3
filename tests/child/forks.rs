//! What becomes of clients in forked children.

use mde_tests::Client;
use mde_tests::peers::server::{ID, client_of, machine};

/// What a call returns in a forked child on a client of the parent.
const FORKED: i32 = 6;

unsafe extern "C" {
    #[link_name = "fork"]
    fn c_fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn read(descriptor: i32, buffer: *mut u8, length: usize) -> isize;
    fn _exit(code: i32) -> !;
}

/// 0 in the child, which has to end with [`leave`].
fn fork() -> i32 {
    // SAFETY: there is one thread, and the child runs nothing of the process at its end.
    unsafe { c_fork() }
}

fn leave(fine: bool) -> ! {
    // SAFETY: it ends the process and runs nothing of it.
    unsafe { _exit(i32::from(!fine)) }
}

/// Waits for a child, in which everything has to be fine.
fn wait_for(child: i32) {
    let mut status = -1;
    // SAFETY: the pointer is valid for the call.
    let waited = unsafe { waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
}

/// A forked child that has everything its parent has open, and lives until standard input ends.
pub fn leave_a_child_behind() {
    if fork() == 0 {
        let mut byte = 0;
        // SAFETY: there is room for one byte.
        let _ = unsafe { read(0, &raw mut byte, 1) };
        leave(true);
    }
}

/// The parent's client, used and freed in a child, and then a client of the child's own.
pub fn reads_in_a_child(client: &dyn Fn() -> Client, action: &str) {
    let parents = client();
    parents.action(action).ok();
    let child = fork();
    if child == 0 {
        let refused = parents.action(action).status == FORKED;
        let own = client();
        let fine = refused && own.action(action).status == mde_tests::OK;
        drop(own);
        drop(parents);
        leave(fine);
    }
    wait_for(child);
    parents.action(action).ok();
}

/// Shows up in the trace.
fn mark(name: &str) {
    let _ = std::fs::metadata(format!("/mde-mark/{name}"));
}

/// The same with every function, and with marks in between.
pub fn leaves_marks(url: &str, ca_file: Option<&str>) {
    let more: Vec<_> = ca_file.map(|file| ("ca_file", file)).into_iter().collect();
    let parents = client_of(url, &more);
    let answered = |client: &Client| {
        let outcome = client.action(ID);
        // The simulator knows neither the action nor the token.
        outcome.status == 0 || outcome.document["error"]["http_status"].is_u64()
    };
    assert!(answered(&parents));
    let child = fork();
    if child == 0 {
        mark("forked");
        let statuses = [
            parents.action(ID).status,
            parents.collect(&machine(0), "x").status,
            parents.list("").status,
            parents.quota().status,
            parents.shutdown(std::time::Duration::ZERO),
        ];
        mark("own");
        let own = client_of(url, &more);
        let own_is_fine = answered(&own);
        drop(own);
        mark("freeing");
        drop(parents);
        mark("freed");
        leave(statuses == [FORKED; 5] && own_is_fine);
    }
    wait_for(child);
    assert!(answered(&parents));
}
