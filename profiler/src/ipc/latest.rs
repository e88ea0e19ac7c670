//! A place for one value, of which only the latest matters.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Holds the latest of the values that one side puts in, until the other side takes it. Both sides
/// are clones of it, on one thread.
#[derive(Debug)]
pub struct Latest<T>(Rc<RefCell<Place<T>>>);

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Latest<T> {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(Place { value: None, waker: None })))
    }

    /// Puts a value in. What was there and was not taken is gone.
    pub fn put(&self, value: T) {
        let waker = {
            let mut place = self.0.borrow_mut();
            place.value = Some(value);
            place.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the value, or has the task woken when there is one.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<T> {
        let mut place = self.0.borrow_mut();
        if let Some(value) = place.value.take() {
            return Poll::Ready(value);
        }
        match &mut place.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the value, if there is one.
    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().value.take()
    }

    /// Whether the other side is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_value_is_taken() {
        let latest = Latest::new();
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(latest.poll_take(&mut context), Poll::Pending);
        latest.put(1);
        latest.put(2);
        assert_eq!(latest.poll_take(&mut context), Poll::Ready(2));
        assert_eq!(latest.poll_take(&mut context), Poll::Pending);
    }

    #[test]
    fn a_place_that_nobody_else_looks_at_is_abandoned() {
        let latest = Latest::<u8>::new();
        let other = latest.clone();
        assert!(!latest.is_abandoned());
        drop(other);
        assert!(latest.is_abandoned());
    }
}
