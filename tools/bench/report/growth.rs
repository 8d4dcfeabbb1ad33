//! What a workload costs as one part of it grows: every contender's figures, step by step.

use kolk_plot::chart::{Axis, Chart, Line, Scale, colour};
use kolk_plot::figures::{escape, rate, thousands, three};

use crate::play::Played;
use crate::report::plots;
use crate::report::summary::Row;

/// From this ratio of the largest to the smallest figure on, the small ones would lie on the axis of a linear plot.
const LINEAR_RATIO_MAX: f64 = 20.0;

/// What is shown of each step.
struct Measure {
    title: &'static str,
    figure: fn(&Played) -> Option<f64>,
    say: fn(f64) -> String,
}

const MEASURES: [Measure; 4] = [
    Measure {
        title: "Acknowledged bytes a second",
        figure: |played| Some(played.acknowledged.bytes_per_second),
        say: rate,
    },
    Measure {
        title: "Broker's CPU, seconds for each GiB in and out",
        figure: |played| played.usage.broker_cpu_seconds_per_gib(played.moved_bytes()),
        say: three,
    },
    Measure {
        title: "Acknowledged records a second",
        figure: |played| Some(played.acknowledged.records_per_second),
        say: thousands,
    },
    Measure {
        title: "Consumed bytes a second",
        figure: |played| Some(played.consumed.as_ref()?.bytes_per_second),
        say: rate,
    },
];

/// The cases of a workload in which something grows.
pub(super) struct Growth<'a> {
    axis: &'static str,
    /// How large it was, and each contender's figures.
    steps: Vec<(f64, Vec<Row<'a>>)>,
}

impl<'a> Growth<'a> {
    /// The steps, from their names: `partitions=10`. `None` unless there are two of one axis.
    pub(super) fn of(cases: Vec<(&str, Vec<Row<'a>>)>) -> Option<Self> {
        let mut axes = Vec::new();
        let mut steps = Vec::new();
        for (name, rows) in cases {
            let (axis, step) = name.split_once('=')?;
            axes.push(called(axis));
            steps.push((step.parse().ok()?, rows));
        }
        let axis = *axes.first()?;
        let one = axes.iter().all(|other| *other == axis);
        (one && steps.len() > 1).then_some(Self { axis, steps })
    }

    /// Tables and plots.
    pub(super) fn html(&self) -> String {
        let legend = self.steps.first().map(|(_, rows)| plots::legend(rows)).unwrap_or_default();
        let pictures: String = MEASURES.iter().map(|measure| self.chart(measure).svg()).collect();
        let [throughput, cpu, ..] = &MEASURES;
        format!(
            "<h2>Over {}</h2>{legend}<div class=plots>{pictures}</div><div class=scroll>{}</div><div class=scroll>{}</div>",
            self.axis,
            self.table(throughput),
            self.table(cpu)
        )
    }

    fn contenders(&self) -> &[Row<'a>] {
        self.steps.first().map(|(_, rows)| rows.as_slice()).unwrap_or_default()
    }

    /// A contender's median of a step.
    fn median(rows: &[Row<'_>], contender: usize, measure: &Measure) -> Option<f64> {
        rows.get(contender)?.median(measure.figure)
    }

    fn chart(&self, measure: &Measure) -> Chart {
        let line = |(contender, row): (usize, &Row<'_>)| {
            let of = |(step, rows): &(f64, Vec<Row<'_>>)| {
                Some((*step, Self::median(rows, contender, measure)?))
            };
            let points = self.steps.iter().filter_map(of).collect();
            Line { name: row.contender.to_owned(), colour: contender, points }
        };
        let lines: Vec<Line> = self.contenders().iter().enumerate().map(line).collect();
        let ticks = self.steps.iter().map(|(step, _)| *step).collect();
        Chart {
            title: measure.title.to_owned(),
            x: Axis { name: self.axis, scale: Scale::Logarithmic, say: thousands, ticks },
            y: Axis { name: "", scale: scale(&lines), say: measure.say, ticks: Vec::new() },
            lines,
        }
    }

    fn table(&self, measure: &Measure) -> String {
        let mut html = format!("<table><tr><th>{}", measure.title);
        for (step, _) in &self.steps {
            html.push_str(&format!("<th>{}", thousands(*step)));
        }
        html.push_str("</tr>");
        for (contender, row) in self.contenders().iter().enumerate() {
            let (colour, name) = (colour(contender), escape(row.contender));
            html.push_str(&format!(
                "<tr><td><span class=swatch style=\"background:{colour}\"></span>{name}"
            ));
            for (_, rows) in &self.steps {
                let figure = Self::median(rows, contender, measure);
                let text = figure.map_or_else(|| "–".to_owned(), measure.say);
                html.push_str(&format!("<td>{text}"));
            }
            html.push_str("</tr>");
        }
        html.push_str("</table>");
        html
    }
}

/// How people call an axis.
fn called(axis: &str) -> &'static str {
    match axis {
        "partitions" => "partitions",
        "connections" => "producers, each with connections of its own",
        "record-bytes" => "bytes of a record",
        "consumers" => "consumers of a group",
        _ => "steps",
    }
}

/// Linear, unless that would hide what is small.
fn scale(lines: &[Line]) -> Scale {
    let figures = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (low, high) = (figures().fold(f64::INFINITY, f64::min), figures().fold(0.0, f64::max));
    if low > 0.0 && high / low > LINEAR_RATIO_MAX { Scale::Logarithmic } else { Scale::Linear }
}
