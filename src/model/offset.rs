//! Logical offsets and physical positions. Apart because mixing the two is the classic log bug: an
//! offset counts records, a position counts bytes of one file.

use std::ops::{Add, AddAssign};

use crate::ids::newtype::number;

number! {
    /// A record's number within its partition, counted from 0. On the wire an `i64`, so at most 2^63 - 1.
    Offset(u64)
}
number! {
    /// A byte's place within one file, counted from 0.
    FilePosition(u64)
}

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self::new(0);
    /// The largest offset that the wire can carry.
    pub const MAX: Self = Self::new(i64::MAX.cast_unsigned());

    /// The offset after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.get() + 1)
    }

    /// How many records lie from `earlier` up to here; 0 if `earlier` is not earlier.
    #[inline]
    #[must_use]
    pub const fn count_since(self, earlier: Self) -> u64 {
        self.get().saturating_sub(earlier.get())
    }

    /// The offset `count` records earlier, or 0.
    #[inline]
    #[must_use]
    pub const fn saturating_back(self, count: u64) -> Self {
        Self::new(self.get().saturating_sub(count))
    }

    /// The offset as the wires write it. Offsets above [`Offset::MAX`] do not exist.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.get().cast_signed()
    }

    /// The wires' number as an offset; negative means "none".
    #[inline]
    #[must_use]
    pub const fn from_wire(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self::new(value.cast_unsigned())) }
    }
}

impl Add<u64> for Offset {
    type Output = Self;

    #[inline]
    fn add(self, count: u64) -> Self {
        Self::new(self.get() + count)
    }
}

impl AddAssign<u64> for Offset {
    #[inline]
    fn add_assign(&mut self, count: u64) {
        *self = *self + count;
    }
}

impl FilePosition {
    /// The first byte of every file.
    pub const ZERO: Self = Self::new(0);

    /// How many bytes lie from `earlier` up to here; 0 if `earlier` is not earlier.
    #[inline]
    #[must_use]
    pub const fn bytes_since(self, earlier: Self) -> u64 {
        self.get().saturating_sub(earlier.get())
    }
}

impl Add<u64> for FilePosition {
    type Output = Self;

    #[inline]
    fn add(self, bytes: u64) -> Self {
        Self::new(self.get() + bytes)
    }
}

impl AddAssign<u64> for FilePosition {
    #[inline]
    fn add_assign(&mut self, bytes: u64) {
        *self = *self + bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_move_by_counts_and_never_below_zero() {
        let five = Offset::new(5);
        assert_eq!(five + 3, Offset::new(8));
        assert_eq!(Offset::new(8).count_since(five), 3);
        assert_eq!(five.count_since(Offset::new(8)), 0);
        assert_eq!(five.saturating_back(9), Offset::ZERO);
        assert_eq!(five.next(), Offset::new(6));
    }

    #[test]
    fn the_wires_minus_one_is_no_offset() {
        assert_eq!(Offset::from_wire(-1), None);
        assert_eq!(Offset::from_wire(i64::MAX), Some(Offset::MAX));
        assert_eq!(Offset::MAX.to_wire(), i64::MAX);
    }
}
