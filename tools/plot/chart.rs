//! Lines over two axes, as SVG that needs nothing beside itself.

use std::fmt::Write;

use crate::figures::escape;

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
/// Points of a line that are shown one by one, at most.
const DOTS_MAX: usize = 8;

/// Colours that people tell apart who see red and green alike (Okabe and Ito, 2008), one a contender.
pub const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8a700"];

/// The colour of the n-th contender.
pub fn colour(index: usize) -> &'static str {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or("#000")
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Shown where the pointer rests.
    pub name: String,
    /// Of the palette.
    pub colour: usize,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// How an axis maps its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on.
    Linear,
    /// Powers of ten at equal distances; values must be above 0.
    Logarithmic,
}

/// An axis: what it shows and how a value reads.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Below it; a vertical one has none.
    pub name: &'static str,
    /// How it maps its values.
    pub scale: Scale,
    /// How a value reads.
    pub say: fn(f64) -> String,
    /// The values that are named, from first to last; none: round ones.
    pub ticks: Vec<f64>,
}

/// A picture of lines.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above it, on one line.
    pub title: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top.
    pub y: Axis,
    /// The last one lies on top.
    pub lines: Vec<Line>,
}

/// The values that an axis spans.
#[derive(Clone, Copy)]
struct Span {
    low: f64,
    high: f64,
    scale: Scale,
}

impl Span {
    /// What an axis spans: its own ticks, or the values.
    fn over(axis: &Axis, values: impl Iterator<Item = f64>) -> Option<Self> {
        let whole = Self::of(values, axis.scale)?;
        match (axis.ticks.first(), axis.ticks.last()) {
            (Some(low), Some(high)) if high > low => {
                Some(Self { low: *low, high: *high, scale: axis.scale })
            }
            _ => Some(whole),
        }
    }

    fn of(values: impl Iterator<Item = f64>, scale: Scale) -> Option<Self> {
        let known = |value: &f64| value.is_finite() && (scale == Scale::Linear || *value > 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(known) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return None;
        }
        Some(match scale {
            Scale::Linear => {
                let high = if high > 0.0 { high * 1.05 } else { 1.0 };
                Self { low: low.min(0.0), high, scale }
            }
            Scale::Logarithmic => {
                let (low, high) =
                    (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
                Self { low, high: if high > low { high } else { low * 10.0 }, scale }
            }
        })
    }

    /// 0 at the low end, 1 at the high one.
    fn part(self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => {
                let low = self.low.log10();
                (value.max(self.low).log10() - low) / (self.high.log10() - low)
            }
        };
        part.clamp(0.0, 1.0)
    }

    fn ticks(self, axis: &Axis) -> Vec<f64> {
        if axis.ticks.is_empty() { self.round_ticks() } else { axis.ticks.clone() }
    }

    fn round_ticks(self) -> Vec<f64> {
        match self.scale {
            Scale::Logarithmic => {
                let mut ticks = Vec::new();
                let mut tick = self.low;
                while tick <= self.high * 1.001 && ticks.len() < 16 {
                    ticks.push(tick);
                    tick *= 10.0;
                }
                ticks
            }
            Scale::Linear => {
                let rough = (self.high - self.low) / 5.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|one| one * power);
                let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
                let first = (self.low / step).ceil();
                (0..16)
                    .map(|n| (first + f64::from(n)) * step)
                    .take_while(|at| *at <= self.high)
                    .collect()
            }
        }
    }
}

impl Chart {
    /// The picture; a sentence instead if there is nothing to show.
    pub fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| &line.points);
        let xs = Span::over(&self.x, all().map(|point| point.0));
        let ys = Span::over(&self.y, all().map(|point| point.1));
        let (Some(xs), Some(ys)) = (xs, ys) else {
            return format!("<p class=empty>{}: nothing was measured.</p>", escape(&self.title));
        };
        let at_x = |x: f64| LEFT + xs.part(x) * (WIDTH - LEFT - RIGHT);
        let at_y = |y: f64| HEIGHT - BOTTOM - ys.part(y) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{0}\"><text class=title x={LEFT} y=18>{0}</text>",
            escape(&self.title)
        );
        let bottom = HEIGHT - BOTTOM;
        for tick in ys.ticks(&self.y) {
            let (y, label) = (at_y(tick), escape(&(self.y.say)(tick)));
            let end = WIDTH - RIGHT;
            put(
                &mut svg,
                &format!(
                    "<path class=grid d=\"M{LEFT} {y:.1}H{end}\"/><text class=tick text-anchor=end x={:.1} y={:.1}>{label}</text>",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        for tick in xs.ticks(&self.x) {
            let (x, label) = (at_x(tick), escape(&(self.x.say)(tick)));
            put(
                &mut svg,
                &format!(
                    "<path class=grid d=\"M{x:.1} {TOP}V{bottom}\"/><text class=tick text-anchor=middle x={x:.1} y={:.1}>{label}</text>",
                    bottom + 16.0
                ),
            );
        }
        let (middle, low) = (LEFT.midpoint(WIDTH - RIGHT), HEIGHT - 8.0);
        put(
            &mut svg,
            &format!(
                "<text class=tick text-anchor=middle x={middle} y={low}>{}</text>",
                escape(self.x.name)
            ),
        );
        put(
            &mut svg,
            &format!("<path class=axis d=\"M{LEFT} {TOP}V{bottom}H{}\"/>", WIDTH - RIGHT),
        );
        for line in &self.lines {
            let points = line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let points: Vec<(f64, f64)> = points.map(|(x, y)| (at_x(*x), at_y(*y))).collect();
            put(&mut svg, &line.svg(&points));
        }
        svg.push_str("</svg>");
        svg
    }
}

impl Line {
    /// Through these places; a dot at each of a few, which would say nothing one by one otherwise.
    fn svg(&self, places: &[(f64, f64)]) -> String {
        let (colour, name) = (colour(self.colour), escape(&self.name));
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let mut svg = format!(
            "<polyline fill=none stroke=\"{colour}\" stroke-width=2 points=\"{}\"><title>{name}</title></polyline>",
            points.join(" ")
        );
        for (x, y) in places.iter().filter(|_| places.len() <= DOTS_MAX) {
            put(
                &mut svg,
                &format!(
                    "<circle fill=\"{colour}\" cx={x:.1} cy={y:.1} r=3><title>{name}</title></circle>"
                ),
            );
        }
        svg
    }
}

fn put(svg: &mut String, text: &str) {
    // Writing to a String does not fail.
    let _written = svg.write_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, scale: Scale) -> Chart {
        let axis = |name| Axis { name, scale, say: |value| format!("{value}"), ticks: Vec::new() };
        let lines = vec![Line { name: "<one>".to_owned(), colour: 0, points }];
        Chart { title: "a & b".to_owned(), x: axis("x"), y: axis("y"), lines }
    }

    #[test]
    fn points_go_from_corner_to_corner() {
        let svg = chart(vec![(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)], Scale::Logarithmic).svg();
        let middle =
            format!("{:.1},{:.1}", LEFT.midpoint(WIDTH - RIGHT), TOP.midpoint(HEIGHT - BOTTOM));
        let expected = format!("points=\"72.0,256.0 {middle} 586.0,30.0\"");
        assert!(svg.contains(&expected), "{expected} is not in {svg}");
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;one&gt;"), "{svg}");
    }

    #[test]
    fn ticks_are_round_numbers() {
        let span = Span::of([0.0, 100.0].into_iter(), Scale::Linear).unwrap();
        assert_eq!(span.round_ticks(), [0.0, 50.0, 100.0]);
        let span = Span::of([30.0, 2_000.0].into_iter(), Scale::Logarithmic).unwrap();
        assert_eq!(span.round_ticks(), [10.0, 100.0, 1_000.0, 10_000.0]);
    }

    #[test]
    fn an_axis_with_ticks_of_its_own_goes_from_the_first_to_the_last() {
        let mut chart = chart(vec![(1.0, 1.0), (8.0, 10.0), (64.0, 100.0)], Scale::Logarithmic);
        chart.x.ticks = vec![1.0, 8.0, 64.0];
        let svg = chart.svg();
        let middle = LEFT.midpoint(WIDTH - RIGHT);
        assert!(
            svg.contains(&format!("points=\"72.0,256.0 {middle:.1},143.0 586.0,30.0\"")),
            "{svg}"
        );
        assert!(
            svg.contains(&format!("text-anchor=middle x={middle:.1} y=272.0>8</text>")),
            "{svg}"
        );
        assert_eq!(svg.matches("<circle").count(), 3, "{svg}");
    }

    #[test]
    fn nothing_measured_is_said() {
        assert!(chart(Vec::new(), Scale::Linear).svg().contains("nothing was measured"));
        assert!(chart(vec![(0.0, 0.0)], Scale::Logarithmic).svg().contains("nothing was measured"));
    }
}
