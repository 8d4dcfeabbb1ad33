//! Bounded channels between executors: one sender, one receiver, values in order.
//!
//! The queue is lock-free and the wake is a plain [`std::task::Waker`], so each end may be on any
//! executor. Full is the sender's to wait for: nothing is dropped, nothing grows.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use crate::sync::{Arc, ArrayQueue, AtomicBool, AtomicWaker, Ordering};

/// Makes a channel that holds up to `capacity` values. The ends are sent to their executors.
#[must_use]
pub fn pair<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        sender: End::default(),
        receiver: End::default(),
    });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// The sending end. Dropping it ends the receiver's stream behind the values that are queued.
pub struct Sender<T: Send> {
    shared: Arc<Shared<T>>,
}

/// The receiving end. Dropping it closes the channel: values in it are dropped.
pub struct Receiver<T: Send> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queue: ArrayQueue<T>,
    sender: End,
    receiver: End,
}

/// One end's task and whether it is gone.
#[derive(Default)]
struct End {
    waker: AtomicWaker,
    gone: AtomicBool,
}

/// A value that was not sent, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full; wait with [`Sender::send`].
    Full(T),
    /// The receiver is gone, for good.
    Closed(T),
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}

/// The receiver is gone: the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed")
    }
}

impl<T: Send> Sender<T> {
    /// Sends a value if there is room.
    ///
    /// # Errors
    /// The value with the reason: full or closed.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        self.shared.queue.push(value).map_err(TrySendError::Full)?;
        self.shared.receiver.waker.wake();
        Ok(())
    }

    /// Sends a value, waiting for room. Dropping the future drops the value unsent.
    ///
    /// # Errors
    /// The value, when the receiver is gone.
    pub async fn send(&self, value: T) -> Result<(), Closed<T>> {
        let mut waiting = Some(value);
        poll_fn(|cx| {
            let Some(value) = waiting.take() else { return Poll::Ready(Ok(())) };
            let value = match self.try_send(value) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(TrySendError::Closed(value)) => return Poll::Ready(Err(Closed(value))),
                Err(TrySendError::Full(value)) => value,
            };
            // Registered before the second look: room made in between is seen or wakes us. The
            // waker's own exchanges order the two sides (the pattern of its documentation).
            self.shared.sender.waker.register(cx.waker());
            match self.try_send(value) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(TrySendError::Closed(value)) => Poll::Ready(Err(Closed(value))),
                Err(TrySendError::Full(value)) => {
                    waiting = Some(value);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Tells whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.receiver.gone.load(Ordering::Acquire)
    }
}

impl<T: Send> Receiver<T> {
    /// Takes the next value if there is one.
    pub fn try_recv(&self) -> Option<T> {
        let value = self.shared.queue.pop()?;
        self.shared.sender.waker.wake();
        Some(value)
    }

    /// Waits for the next value; `None` once the sender is gone and the channel is empty.
    /// Dropping the future loses no value.
    pub async fn recv(&self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next value, for hand-written futures.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.try_recv() {
            return Poll::Ready(Some(value));
        }
        // Registered before the second look: a value that came in between is seen or wakes us.
        self.shared.receiver.waker.register(cx.waker());
        let gone = self.shared.sender.gone.load(Ordering::Acquire);
        match self.try_recv() {
            Some(value) => Poll::Ready(Some(value)),
            // What was sent before the sender went is in the queue by now.
            None if gone => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<T: Send> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender.gone.store(true, Ordering::Release);
        self.shared.receiver.waker.wake();
    }
}

impl<T: Send> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receiver.gone.store(true, Ordering::Release);
        while self.shared.queue.pop().is_some() {}
        self.shared.sender.waker.wake();
    }
}

impl<T: Send> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({} of {})", self.shared.queue.len(), self.shared.queue.capacity())
    }
}

impl<T: Send> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({} of {})", self.shared.queue.len(), self.shared.queue.capacity())
    }
}

/// Runs a future to its end on a thread that is no executor, parking it meanwhile.
///
/// For threads that talk with executors through channels: a start-up thread, a test.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_in_order_across_threads_through_a_narrow_channel() {
        for capacity in [1, 2, 64] {
            let (sender, receiver) = pair(capacity);
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    block_on(async {
                        for value in 0..20_000_u32 {
                            sender.send(value).await.unwrap();
                        }
                    });
                });
                let mut expected = 0;
                while let Some(value) = block_on(receiver.recv()) {
                    assert_eq!(value, expected);
                    expected += 1;
                }
                assert_eq!(expected, 20_000);
            });
        }
    }

    #[test]
    fn a_full_channel_refuses_and_a_closed_one_gives_the_value_back() {
        let (sender, receiver) = pair(1);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        assert_eq!(receiver.try_recv(), Some(1));
        assert_eq!(receiver.try_recv(), None);
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
        assert_eq!(block_on(sender.send(4)), Err(Closed(4)));
    }

    #[test]
    fn what_was_sent_before_the_sender_went_still_arrives() {
        let (sender, receiver) = pair(4);
        sender.try_send("one").unwrap();
        drop(sender);
        assert_eq!(block_on(receiver.recv()), Some("one"));
        assert_eq!(block_on(receiver.recv()), None);
    }

    #[test]
    fn a_sender_that_waits_for_room_learns_that_the_receiver_went() {
        let (sender, receiver) = pair(1);
        sender.try_send(Arc::new(1)).unwrap();
        let value = Arc::new(2);
        let kept = Arc::clone(&value);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || block_on(sender.send(value)));
            drop(receiver);
            assert!(waiting.join().unwrap().is_err());
        });
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
