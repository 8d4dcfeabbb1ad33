//! How a command's result reaches the user: one value, shown as text or as JSON.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::CtlError;
use crate::global::Global;

/// A command's result.
pub(crate) trait Answer: Serialize {
    /// Writes it for people.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Prints the result in the form that was asked for.
pub(crate) fn print(global: &Global, answer: &impl Answer) -> Result<(), CtlError> {
    let mut out = io::stdout().lock();
    let written = if global.json {
        serde_json::to_writer(&mut out, answer).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        answer.text(&mut out)
    };
    written.and_then(|()| out.flush()).map_err(CtlError::output)
}

/// Prints an error in the form that was asked for.
pub(crate) fn print_error(global: &Global, error: &CtlError) {
    let exit = error.exit();
    let mut out = io::stderr().lock();
    let written = if global.json {
        let object = serde_json::json!({ "error": {
            "kind": exit.name(), "exit_code": exit.code(), "message": error.to_string(),
        } });
        writeln!(out, "{object}")
    } else {
        writeln!(out, "error: {error}")
    };
    // Standard error is closed: nobody is left to tell.
    drop(written);
}

/// Says something on standard error while a command goes on, in the form that was asked for.
pub(crate) fn note(global: &Global, bar: &ProgressBar, text: &str) {
    let line = if global.json {
        serde_json::json!({ "note": { "message": text } }).to_string()
    } else {
        format!("kolk: {text}")
    };
    // Standard error is closed: nobody is left to tell.
    bar.suspend(|| drop(writeln!(io::stderr(), "{line}")));
}

/// Rows as columns two spaces apart. A column whose cells are all numbers or amounts stands to the right.
pub(crate) fn table(out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |c| c.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|row| cell(row, c)).max().unwrap_or(0)).collect();
    // A number, with a unit behind it or not; an id may begin with digits, too.
    let amount = |text: &str| {
        let number = text.split(' ').next().unwrap_or_default();
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || "-.,".contains(c))
    };
    let right: Vec<bool> = (0..columns)
        .map(|c| rows.iter().skip(1).all(|row| row.get(c).is_none_or(|cell| amount(cell))))
        .collect();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(&right) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let padded = if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&padded);
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Bytes,
    Records,
}

/// A progress bar on standard error if that is a terminal, else one that shows nothing. `total` 0 is a spinner.
pub(crate) fn progress(
    global: &Global,
    counted: Counted,
    total: u64,
    what: &'static str,
) -> ProgressBar {
    let shown = io::stderr().is_terminal() && !global.json;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let figures = match counted {
        Counted::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}",
        Counted::Records => "{human_pos}/{human_len} {per_sec}",
    };
    let open = match counted {
        Counted::Bytes => "{bytes} {bytes_per_sec}",
        Counted::Records => "{human_pos} {per_sec}",
    };
    let template = if total == 0 {
        format!("{{spinner}} {{msg}} {open}")
    } else {
        format!("{{msg}} {{wide_bar}} {figures} {{eta}}")
    };
    let style = ProgressStyle::with_template(&template);
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
    style.map_or_else(|_| ProgressBar::hidden(), |style| bar.with_style(style))
}

/// A count with its digits in groups of three.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it.
pub(crate) fn duration(ns: u64) -> String {
    let (scale, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let tenths = ns / (scale / 10);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_amounts_stand_to_the_right() {
        let rows = [["NAME", "PARTITIONS", ""], ["web", "8", ""], ["metrics", "12", "offline"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        let mut out = Vec::new();
        table(&mut out, &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "NAME     PARTITIONS\nweb               8\nmetrics          12  offline\n"
        );
    }

    #[test]
    fn figures_read_well() {
        assert_eq!([grouped(7), grouped(1234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
        let times =
            [(999, "999 ns"), (1_500, "1.5 µs"), (85_250_000, "85.2 ms"), (3_000_000_000, "3.0 s")];
        for (ns, text) in times {
            assert_eq!(duration(ns), text);
        }
    }
}
