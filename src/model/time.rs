//! Wall-clock time as records carry it. Apart because reading a clock is not this crate's business.

use crate::ids::newtype::number;

number! {
    /// Milliseconds since 1970-01-01 UTC, as records carry them; negative numbers are legal.
    TimestampMs(i64)
}

impl TimestampMs {
    /// Kafka's "this record has no timestamp".
    pub const NONE: Self = Self::new(-1);

    /// The instant `ms` milliseconds before this one, stopping at the smallest number.
    #[inline]
    #[must_use]
    pub const fn saturating_back(self, ms: u64) -> Self {
        Self::new(self.get().saturating_sub_unsigned(ms))
    }

    /// The instant `ms` milliseconds after this one, stopping at the largest number.
    #[inline]
    #[must_use]
    pub const fn saturating_forward(self, ms: u64) -> Self {
        Self::new(self.get().saturating_add_unsigned(ms))
    }
}

/// Who sets a record's timestamp (Kafka's `message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TimestampType {
    /// The producer, when it made the record.
    #[default]
    CreateTime,
    /// The broker, when it appended the batch: every record of the batch has the batch's largest timestamp.
    LogAppendTime,
}

impl TimestampType {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        }
    }
}
