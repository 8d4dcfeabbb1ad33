//! Names and numbers of groups. Apart so that a member's id never stands where a group's is meant.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Defines a text newtype whose clones share the text.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Keeps a copy of the text.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(Arc::from(text))
            }

            /// The text.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the text is empty.
            #[inline]
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }
    };
}

text! {
    /// A group's id: any text, also the empty one where Kafka allows that.
    GroupId
}
text! {
    /// A member's id, given by the coordinator (classic groups) or the client (consumer groups). The empty
    /// one is Kafka's "none yet".
    MemberId
}
text! {
    /// A static member's id (`group.instance.id`), which outlives its member ids.
    InstanceId
}

impl GroupId {
    /// Which of `partitions` partitions of `__consumer_offsets` keeps the group: Kafka's rule, Java's
    /// `String.hashCode`, its absolute value (0 for the smallest number), modulo partitions.
    #[must_use]
    pub fn partition(&self, partitions: u32) -> u32 {
        let hash = self
            .0
            .encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
        hash.checked_abs().unwrap_or(0).cast_unsigned() % partitions.max(1)
    }
}

/// How often a classic group has begun anew with another set of members. On the wire an `i32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(u32);

impl Generation {
    /// Wraps a plain number.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Gives the plain number back.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Kafka's number as a generation; negative means "no generation".
    #[must_use]
    pub const fn from_wire(value: i32) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value.cast_unsigned())) }
    }

    /// The generation as Kafka writes it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0.cast_signed()
    }

    /// The generation after this one; 0 after the largest that the wire can carry, as in Kafka.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) & i32::MAX.cast_unsigned())
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_fall_to_the_partitions_that_java_says() {
        // "abc".hashCode() = 96354; "".hashCode() = 0; "polygenelubricants".hashCode() = Integer.MIN_VALUE.
        for (group, partition) in [("abc", 4), ("", 0), ("polygenelubricants", 0)] {
            assert_eq!(GroupId::new(group).partition(50), partition, "{group}");
        }
    }

    #[test]
    fn generations_wrap_inside_the_wires_numbers() {
        assert_eq!(Generation::new(i32::MAX as u32).next(), Generation::new(0));
        assert_eq!(Generation::from_wire(-1), None);
        assert_eq!(Generation::new(7).to_wire(), 7);
    }
}
