//! A graph of a run as SVG: one panel a quantity, its bound dashed.

use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 50.0;
const GAP: f64 = 55.0;

/// One quantity over time.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// Seconds and value.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) bound: f64,
}

/// The picture.
pub(crate) fn draw(title: &str, panels: &[Panel]) -> String {
    let mut out = String::new();
    let count = panels.iter().map(|_| 1.0).sum::<f64>();
    let (width, height) = (LEFT + WIDTH + 20.0, TOP + count * (HEIGHT + GAP));
    let mut line = |text: String| writeln!(out, "{text}").expect("a string takes all");
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">"
    ));
    line(format!("<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>"));
    line(format!("<text x=\"{LEFT}\" y=\"22\" font-weight=\"bold\">{title}</text>"));
    let mut top = TOP;
    for panel in panels {
        let seconds = panel.points.last().map_or(1.0, |(seconds, _)| seconds.max(1.0));
        let most = panel.points.iter().map(|(_, value)| *value).fold(panel.bound, f64::max) * 1.05;
        let x = |at: f64| LEFT + at / seconds * WIDTH;
        let y = |value: f64| top + HEIGHT - value / most * HEIGHT;
        line(format!("<text x=\"{LEFT}\" y=\"{}\">{}</text>", top - 6.0, panel.title));
        line(format!(
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#999\"/>"
        ));
        let bound = y(panel.bound);
        line(format!(
            "<line x1=\"{LEFT}\" y1=\"{bound:.1}\" x2=\"{}\" y2=\"{bound:.1}\" stroke=\"#c33\" stroke-dasharray=\"6 4\"/>",
            LEFT + WIDTH
        ));
        for (value, at) in [(0.0, y(0.0)), (panel.bound, bound)] {
            line(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                LEFT - 6.0,
                at + 4.0
            ));
        }
        let points: Vec<String> = panel
            .points
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)))
            .collect();
        line(format!(
            "<polyline fill=\"none\" stroke=\"#26c\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        ));
        line(format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0} s</text>",
            LEFT + WIDTH,
            top + HEIGHT + 16.0,
            seconds
        ));
        top += HEIGHT + GAP;
    }
    line("</svg>".to_owned());
    out
}
