//! Bars of medians with a dot for each round, as SVG.

use crate::chart::colour;
use crate::figures::{escape, median};

const WIDTH: f64 = 620.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 100.0;
const TOP: f64 = 34.0;
const BAR: f64 = 18.0;
const STEP: f64 = 28.0;

/// One bar: a name and a figure of each round.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Beside it.
    pub name: String,
    /// Of the palette.
    pub colour: usize,
    /// The figure of each round.
    pub rounds: Vec<f64>,
}

/// The picture; `say` is how a figure reads.
pub fn svg(title: &str, bars: &[Bar], say: fn(f64) -> String) -> String {
    let high = bars.iter().flat_map(|bar| &bar.rounds).copied().fold(0.0, f64::max);
    if high <= 0.0 {
        return format!("<p class=empty>{}: nothing was measured.</p>", escape(title));
    }
    let mut height = TOP;
    let mut body = String::new();
    for bar in bars {
        let middle = median(bar.rounds.iter().copied());
        let (y, part) = (height, (WIDTH - LEFT - RIGHT) / high);
        let text = middle.map_or_else(|| "–".to_owned(), say);
        let width = middle.unwrap_or(0.0) * part;
        body.push_str(&format!(
            "<text class=tick text-anchor=end x={:.1} y={:.1}>{}</text><rect x={LEFT} y={y:.1} width={width:.1} height={BAR} fill=\"{}\"/>",
            LEFT - 8.0,
            y + 13.0,
            escape(&bar.name),
            colour(bar.colour),
        ));
        let mut end = width;
        for round in &bar.rounds {
            let x = round * part;
            end = end.max(x);
            body.push_str(&format!(
                "<circle class=dot cx={:.1} cy={:.1} r=3 />",
                LEFT + x,
                y + BAR / 2.0
            ));
        }
        body.push_str(&format!(
            "<text class=tick x={:.1} y={:.1}>{}</text>",
            LEFT + end + 8.0,
            y + 13.0,
            escape(&text)
        ));
        height += STEP;
    }
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=img aria-label=\"{title}\"><text class=title x=4 y=18>{title}</text>{body}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_the_median_and_each_round_a_dot() {
        let bars = [
            Bar { name: "a".to_owned(), colour: 0, rounds: vec![1.0, 4.0, 2.0] },
            Bar { name: "b".to_owned(), colour: 1, rounds: Vec::new() },
        ];
        let svg = svg("rate", &bars, |figure| format!("{figure} MB/s"));
        let whole = WIDTH - LEFT - RIGHT;
        assert!(svg.contains(&format!("width={:.1}", whole / 2.0)), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("2 MB/s") && svg.contains("–"), "{svg}");
        assert!(super::svg("rate", &[], |_| String::new()).contains("nothing was measured"));
    }
}
