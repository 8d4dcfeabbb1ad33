//! Sizes as people write them. Apart because clap knows numbers alone.

use std::ops::RangeInclusive;

/// Units, and the powers of two that they stand for.
const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

/// Reads a number of bytes, with KiB, MiB or GiB behind it if wanted, as the broker's settings have it.
///
/// # Errors
/// What is expected, in words. clap puts the flag and what was given in front.
pub(crate) fn bytes(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let count = digits.trim().replace('_', "").parse::<usize>().ok();
    let bytes = count
        .and_then(|count| count.checked_mul(1 << shift))
        .ok_or("a number of bytes is expected, such as 1048576, 64KiB or 16MiB")?;
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("{bytes} bytes are not in {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_units_and_are_bounded() {
        let range = 10..=(4 << 20);
        for (text, expected) in
            [("10", 10), ("1_000", 1_000), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("4MiB", 4 << 20)]
        {
            assert_eq!(bytes(text, &range), Ok(expected), "{text}");
        }
        for text in ["", "KiB", "1MB", "1.5MiB", "-1", "99999999999999GiB", "9", "5MiB"] {
            assert!(bytes(text, &range).is_err(), "{text}");
        }
        let refused = bytes("5MiB", &range).unwrap_err();
        assert_eq!(refused, "5242880 bytes are not in 10 to 4194304");
    }
}
