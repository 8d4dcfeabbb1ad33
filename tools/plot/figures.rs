//! Figures for people: units that fit, three digits.

const GIB: f64 = (1_u64 << 30) as f64;

/// Three digits: 1234 → 1230, 12.34 → 12.3, 0.1234 → 0.123.
pub fn three(figure: f64) -> String {
    if !figure.is_finite() {
        return "–".to_owned();
    }
    match figure.abs() {
        at if at >= 100.0 => thousands(figure),
        at if at >= 10.0 => format!("{figure:.1}"),
        at if at >= 1.0 => format!("{figure:.2}"),
        at if at > 0.0 && at < 0.000_5 => "< 0.001".to_owned(),
        0.0 => "0".to_owned(),
        _ => format!("{figure:.3}"),
    }
}

/// A whole number with spaces between thousands.
pub fn thousands(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut spaced = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            spaced.push('\u{202f}');
        }
        spaced.push(digit);
    }
    if figure < 0.0 { format!("-{spaced}") } else { spaced }
}

/// A time in ns.
pub fn time(ns: f64) -> String {
    match ns {
        at if at >= 1e9 => format!("{} s", three(ns / 1e9)),
        at if at >= 1e6 => format!("{} ms", three(ns / 1e6)),
        at if at >= 1e3 => format!("{} µs", three(ns / 1e3)),
        _ => format!("{ns:.0} ns"),
    }
}

/// Bytes a second.
pub fn rate(bytes_per_second: f64) -> String {
    match bytes_per_second {
        at if at >= 1e9 => format!("{} GB/s", three(at / 1e9)),
        at if at >= 1e6 => format!("{} MB/s", three(at / 1e6)),
        at => format!("{} kB/s", three(at / 1e3)),
    }
}

/// Bytes.
pub fn size(bytes: f64) -> String {
    if bytes >= GIB {
        format!("{} GiB", three(bytes / GIB))
    } else {
        format!("{} MiB", three(bytes / (1 << 20) as f64))
    }
}

/// The middle of all; the mean of the two in the middle if their number is even.
pub fn median(all: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = all.into_iter().filter(|figure| figure.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    let high = *all.get(middle)?;
    if all.len().is_multiple_of(2) {
        let low = middle.checked_sub(1).and_then(|index| all.get(index))?;
        return Some(f64::midpoint(*low, high));
    }
    Some(high)
}

/// Text within HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_fitting_units() {
        let all = [three(1_234_567.0), three(12.345), three(1.2345), three(0.12345)];
        assert_eq!(all, ["1\u{202f}234\u{202f}567", "12.3", "1.23", "0.123"]);
        assert_eq!(
            [time(950.0), time(12_300.0), time(4_560_000.0), time(7e9)],
            ["950 ns", "12.3 µs", "4.56 ms", "7.00 s"]
        );
        assert_eq!(
            [rate(2.5e9), rate(1.5e6), rate(900.0)],
            ["2.50 GB/s", "1.50 MB/s", "0.900 kB/s"]
        );
        assert_eq!([size(3.0 * GIB), size(GIB / 204.8)], ["3.00 GiB", "5.00 MiB"]);
        assert_eq!([three(f64::NAN), three(0.0), three(1e-6)], ["–", "0", "< 0.001"]);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
        assert_eq!(median([f64::NAN, 1.0]), Some(1.0));
    }

    #[test]
    fn text_can_not_become_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
