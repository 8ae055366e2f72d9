//! A handler's promise to answer later, so that one piece of work can answer many callers.

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};
use std::{cell::RefCell, rc::Rc};

enum Slot<T> {
    /// The handler has not returned yet.
    Unbound,
    /// Answered before the handler returned.
    Early(T),
    Waiting(OneshotSender<T>),
    /// Answered, or sent by `tell`: nobody listens.
    Done,
}

/// What the handler returns. When the [`Answer`] is dropped unused, the caller gets `Restarted`.
pub struct Deferred<T>(Rc<RefCell<Slot<T>>>);

/// What the actor keeps until it knows the answer.
pub struct Answer<T>(Rc<RefCell<Slot<T>>>);

/// A promise in two halves.
pub fn deferred<T>() -> (Answer<T>, Deferred<T>) {
    let slot = Rc::new(RefCell::new(Slot::Unbound));
    (Answer(Rc::clone(&slot)), Deferred(slot))
}

impl<T> Answer<T> {
    /// Answers. A value that nobody waits for any more is dropped.
    pub fn send(self, value: T) {
        // Never send while the slot is borrowed: a value nobody takes is dropped here, and its
        // `Drop` may do anything.
        let before = self.0.replace(Slot::Done);
        match before {
            Slot::Unbound => {
                self.0.replace(Slot::Early(value));
            }
            Slot::Waiting(sender) => drop(sender.send(value)),
            Slot::Early(_) | Slot::Done => {}
        }
    }

    /// Whether the caller went away: its work can be left undone.
    pub fn is_abandoned(&self) -> bool {
        match &*self.0.borrow() {
            Slot::Waiting(sender) => sender.is_closed(),
            Slot::Unbound | Slot::Early(_) => false,
            Slot::Done => true,
        }
    }
}

impl<A, M> MessageResponse<A, M> for Deferred<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        let before = self.0.replace(Slot::Done);
        match (before, sender) {
            (Slot::Early(value), Some(sender)) => drop(sender.send(value)),
            (Slot::Unbound, Some(sender)) => {
                self.0.replace(Slot::Waiting(sender));
            }
            _ => {}
        }
    }
}
