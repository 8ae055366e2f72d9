//! Turns a panic in a test's thread into that test's failure message, so that messages don't interleave.

use std::cell::RefCell;
use std::panic;
use std::thread;

use super::TestResult;

/// Enough for the deep futures of a debug build.
const STACK_BYTES: usize = 16 << 20;

const THREAD_PREFIX: &str = "test ";

thread_local! {
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics of test threads for the report; those of other threads (the server's) are printed as usual.
pub fn record() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let of_a_test = thread::current().name().is_some_and(|name| name.starts_with(THREAD_PREFIX));
        if of_a_test {
            MESSAGE.with_borrow_mut(|message| {
                // The first one is the cause; a second may come from cleaning up.
                message.get_or_insert_with(|| info.to_string());
            });
        } else {
            print(info);
        }
    }));
}

/// Runs `body` in a thread of its own and answers with its panic, if any.
pub fn in_own_thread(name: String, body: impl FnOnce() + Send + 'static) -> TestResult {
    let thread = thread::Builder::new()
        .name(format!("{THREAD_PREFIX}{name}"))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let outcome = panic::catch_unwind(panic::AssertUnwindSafe(body));
            let message = MESSAGE.with_borrow_mut(Option::take);
            outcome.map_err(|_| message.unwrap_or_else(|| "panicked".to_owned()))
        })
        .expect("a thread for the test");
    match thread.join() {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err("the test's thread died".into()),
    }
}
