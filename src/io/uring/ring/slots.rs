//! The table of operations in the kernel, and of what they need to stay alive.
//!
//! An entry is freed when the kernel has answered for the last time *and* its future has taken the
//! answer or is gone. A token carries the entry's generation, so that a late answer never reaches
//! an operation that took the entry over.
#![allow(unsafe_code, reason = "descriptors that the kernel makes get their owner here")]

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Waker;

use super::descriptor::Descriptor;
use crate::buf::{AlignedBuf, AlignedSlice};
use crate::net::RawAddress;
use crate::time::Monotonic;
use crate::uring::kernel::clock;

/// Memory and descriptors that the kernel uses until it has answered.
#[derive(Default)]
pub(in crate::uring) struct Held {
    #[expect(dead_code, reason = "held so that the number is not reused meanwhile")]
    pub(in crate::uring) descriptor: Option<Rc<Descriptor>>,
    pub(in crate::uring) memory: HeldMemory,
    pub(in crate::uring) makes: Makes,
}

/// What a result of zero or more is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::uring) enum Makes {
    /// A count.
    #[default]
    Nothing,
    /// A descriptor, which must not be lost when nobody takes the answer.
    Descriptor,
}

/// The memory of an operation, at an address that does not change.
#[derive(Default)]
pub(in crate::uring) enum HeldMemory {
    #[default]
    None,
    Read(AlignedBuf),
    Write(AlignedSlice),
    Gather {
        #[expect(dead_code, reason = "held for the kernel, which alone reads it")]
        pages: Vec<AlignedSlice>,
        iovecs: Box<[libc::iovec]>,
    },
    Path(CString),
    Accept(Box<Peer>),
    Counter(Box<[u8; 8]>),
}

/// Where the kernel writes the peer's address of an accepted connection.
pub(in crate::uring) struct Peer {
    pub(in crate::uring) address: RawAddress,
    pub(in crate::uring) length: libc::socklen_t,
}

/// Names one use of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::uring) struct Token {
    index: u32,
    generation: u32,
}

/// Which of an entry's submissions an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::uring) enum Half {
    /// The only one, or the second of a linked pair.
    Last,
    /// The first of a linked pair.
    First,
}

/// User data of submissions whose answer nobody needs. No token maps to it: an index is below 2^31.
pub(in crate::uring) const UNHEEDED: u64 = u64::MAX;

impl Token {
    /// Packs the token for the kernel: generation, index, half.
    pub(in crate::uring) const fn user_data(self, half: Half) -> u64 {
        ((self.generation as u64) << 32)
            | ((self.index as u64) << 1)
            | matches!(half, Half::First) as u64
    }

    /// The reverse of [`Token::user_data`].
    #[expect(clippy::cast_possible_truncation, reason = "takes the 64 bits apart")]
    pub(in crate::uring) const fn from_user_data(data: u64) -> (Self, Half) {
        let half = if data & 1 == 1 { Half::First } else { Half::Last };
        (Self { index: (data as u32) >> 1, generation: (data >> 32) as u32 }, half)
    }
}

/// How many answers an operation gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::uring) enum Answers {
    /// One.
    One,
    /// A linked pair that answers both times.
    Two,
}

/// What the kernel said.
#[derive(Debug, Default)]
pub(in crate::uring) struct Outcome {
    /// The first half's result, if it answered: bytes, or an error number below 0.
    pub(in crate::uring) first: Option<i32>,
    /// When the first half answered.
    pub(in crate::uring) first_at: Option<Monotonic>,
    /// The last half's result, if it answered.
    pub(in crate::uring) last: Option<i32>,
    /// The descriptor it made, if that was its purpose; closed unless somebody takes it.
    pub(in crate::uring) made: Option<OwnedFd>,
}

/// A complete operation: the kernel's answer, and the memory that it used.
pub(in crate::uring) struct Finished {
    pub(in crate::uring) outcome: Outcome,
    pub(in crate::uring) held: Held,
}

struct Slot {
    generation: u32,
    state: State,
}

enum State {
    Free { next: Option<u32> },
    Used(Entry),
}

struct Entry {
    answers: Answers,
    outcome: Outcome,
    complete: bool,
    abandoned: bool,
    waker: Option<Waker>,
    held: Held,
}

/// What to do after an answer was noted, outside of any borrow.
pub(in crate::uring) enum Noted {
    /// More answers are to come, or the entry is not in use.
    Nothing,
    /// Somebody waits, or will.
    Wake(Option<Waker>),
    /// Nobody waits any more: drop this.
    Drop(Finished),
}

/// The table.
#[derive(Default)]
pub(in crate::uring) struct Slots {
    slots: Vec<Slot>,
    first_free: Option<u32>,
    in_kernel: usize,
    pairs: usize,
}

impl Slots {
    /// Returns the operations the kernel has not answered completely.
    pub(in crate::uring) const fn in_kernel(&self) -> usize {
        self.in_kernel
    }

    /// Returns how many of them are linked pairs.
    pub(in crate::uring) const fn pairs(&self) -> usize {
        self.pairs
    }

    pub(in crate::uring) fn insert(&mut self, answers: Answers, held: Held) -> Token {
        self.in_kernel += 1;
        self.pairs += usize::from(answers == Answers::Two);
        let entry = Entry {
            answers,
            outcome: Outcome::default(),
            complete: false,
            abandoned: false,
            waker: None,
            held,
        };
        if let Some(index) = self.first_free
            && let Some(slot) = self.slot_mut(index)
            && let State::Free { next } = slot.state
        {
            slot.state = State::Used(entry);
            let token = Token { index, generation: slot.generation };
            self.first_free = next;
            return token;
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        assert!(index < 1 << 31, "{index} operations in flight");
        self.slots.push(Slot { generation: 0, state: State::Used(entry) });
        Token { index, generation: 0 }
    }

    /// Gives access to an operation's memory before it is submitted.
    pub(in crate::uring) fn held_mut(&mut self, token: Token) -> Option<&mut Held> {
        self.entry_mut(token).map(|entry| &mut entry.held)
    }

    /// Notes an answer of the kernel.
    pub(in crate::uring) fn answer(&mut self, data: u64, result: i32) -> Noted {
        let (token, half) = Token::from_user_data(data);
        let Some(entry) = self.entry_mut(token) else { return Noted::Nothing };
        match half {
            Half::First => {
                entry.outcome.first = Some(result);
                entry.outcome.first_at = Some(clock::now());
            }
            Half::Last => entry.outcome.last = Some(result),
        }
        if entry.held.makes == Makes::Descriptor && result >= 0 {
            // SAFETY: the kernel has just made this descriptor and told nobody else.
            entry.outcome.made = Some(unsafe { OwnedFd::from_raw_fd(result) });
        }
        let Outcome { first, last, .. } = entry.outcome;
        entry.complete = match entry.answers {
            Answers::One => last.is_some(),
            Answers::Two => first.is_some() && last.is_some(),
        };
        if !entry.complete {
            return Noted::Nothing;
        }
        let (abandoned, waker) = (entry.abandoned, entry.waker.take());
        let pair = entry.answers == Answers::Two;
        self.in_kernel -= 1;
        self.pairs -= usize::from(pair);
        if abandoned {
            return self.free(token).map_or(Noted::Nothing, Noted::Drop);
        }
        Noted::Wake(waker)
    }

    /// Takes the outcome if it is complete, else remembers whom to wake.
    pub(in crate::uring) fn take(&mut self, token: Token, waker: &Waker) -> Option<Finished> {
        let entry = self.entry_mut(token)?;
        if entry.complete {
            return self.free(token);
        }
        match &entry.waker {
            Some(known) if known.will_wake(waker) => {}
            _ => entry.waker = Some(waker.clone()),
        }
        None
    }

    /// Notes that nobody waits any more. Returns what to drop, or nothing while the kernel works.
    pub(in crate::uring) fn abandon(&mut self, token: Token) -> Abandoned {
        match self.entry_mut(token) {
            None => Abandoned::Gone,
            Some(entry) if entry.complete => {
                self.free(token).map_or(Abandoned::Gone, Abandoned::Complete)
            }
            Some(entry) => {
                entry.abandoned = true;
                Abandoned::InKernel(entry.waker.take())
            }
        }
    }

    fn free(&mut self, token: Token) -> Option<Finished> {
        let next = self.first_free;
        let slot = self.slot_mut(token.index)?;
        slot.generation = slot.generation.wrapping_add(1);
        let freed = std::mem::replace(&mut slot.state, State::Free { next });
        self.first_free = Some(token.index);
        match freed {
            State::Used(Entry { outcome, held, .. }) => Some(Finished { outcome, held }),
            State::Free { .. } => None,
        }
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    fn entry_mut(&mut self, token: Token) -> Option<&mut Entry> {
        match self.slot_mut(token.index)? {
            Slot { generation, state: State::Used(entry) } if *generation == token.generation => {
                Some(entry)
            }
            _ => None,
        }
    }
}

/// What became of an operation whose future was dropped.
pub(in crate::uring) enum Abandoned {
    /// It had been taken already.
    Gone,
    /// It was complete: drop this.
    Complete(#[expect(dead_code, reason = "carried out of the borrow to be dropped")] Finished),
    /// The kernel still works on it; drop the waker.
    InKernel(
        #[expect(dead_code, reason = "carried out of the borrow to be dropped")] Option<Waker>,
    ),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(slots: &mut Slots, token: Token) -> Option<Outcome> {
        slots.take(token, Waker::noop()).map(|finished| finished.outcome)
    }

    #[test]
    fn user_data_survives_the_kernel() {
        for (index, generation) in [(0, 0), (7, 3), ((1 << 31) - 1, u32::MAX)] {
            let token = Token { index, generation };
            for half in [Half::First, Half::Last] {
                assert_eq!(Token::from_user_data(token.user_data(half)), (token, half));
            }
        }
    }

    #[test]
    fn a_late_answer_does_not_reach_the_next_user_of_an_entry() {
        let mut slots = Slots::default();
        let first = slots.insert(Answers::One, Held::default());
        slots.answer(first.user_data(Half::Last), 1);
        assert_eq!(take(&mut slots, first).unwrap().last, Some(1));
        let second = slots.insert(Answers::One, Held::default());
        assert_eq!(second.index, first.index);
        assert!(matches!(slots.answer(first.user_data(Half::Last), 9), Noted::Nothing));
        assert!(take(&mut slots, second).is_none());
        assert!(matches!(slots.answer(UNHEEDED, 0), Noted::Nothing));
        assert_eq!(slots.in_kernel(), 1);
    }

    #[test]
    fn memory_is_held_until_the_kernel_has_answered() {
        let mut slots = Slots::default();
        let memory = HeldMemory::Read(AlignedBuf::new(4096));
        let token = slots.insert(Answers::One, Held { memory, ..Held::default() });
        assert!(matches!(slots.abandon(token), Abandoned::InKernel(_)));
        assert_eq!(slots.in_kernel(), 1);
        let noted = slots.answer(token.user_data(Half::Last), 4096);
        let Noted::Drop(finished) = noted else { panic!("nobody waits") };
        assert!(matches!(finished.held.memory, HeldMemory::Read(_)));
        assert_eq!(slots.in_kernel(), 0);
    }

    #[test]
    fn a_descriptor_that_nobody_takes_is_closed() {
        let mut slots = Slots::default();
        let (end, other) = std::io::pipe().unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(other);
        let held = Held { makes: Makes::Descriptor, ..Held::default() };
        let token = slots.insert(Answers::One, held);
        slots.answer(token.user_data(Half::Last), number);
        drop(slots.abandon(token));
        // The pipe's only writer is gone: its reader meets the end.
        assert_eq!(std::io::read_to_string(end).unwrap(), "");
    }

    #[test]
    fn pairs_are_complete_when_no_answer_is_to_come() {
        let mut slots = Slots::default();
        let both = slots.insert(Answers::Two, Held::default());
        let one = slots.insert(Answers::One, Held::default());
        assert_eq!((slots.in_kernel(), slots.pairs()), (2, 1));
        slots.answer(one.user_data(Half::Last), 0);
        assert!(take(&mut slots, one).is_some());
        assert!(matches!(slots.answer(both.user_data(Half::First), 5), Noted::Nothing));
        assert_eq!((slots.in_kernel(), slots.pairs()), (1, 1));
        assert!(matches!(slots.answer(both.user_data(Half::Last), 0), Noted::Wake(None)));
        assert_eq!(slots.pairs(), 0);
        let outcome = take(&mut slots, both).unwrap();
        assert_eq!((outcome.first, outcome.last), (Some(5), Some(0)));
        assert_eq!(slots.in_kernel(), 0);
    }
}
