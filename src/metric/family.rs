//! How a domain's fields become named samples. One macro writes struct, constructor and reading from
//! one table, so that a field can't exist without its name and help line.

use crate::instrument::{Counter, Gauge, Histogram, HistogramReading};

/// One reading of one instrument, with the family it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Prometheus family, `kolk_<noun>_<unit>[_total]`.
    pub family: &'static str,
    /// The family's help line.
    pub help: &'static str,
    /// What sets this series apart from its family's others, beside the shard.
    pub label: Option<Label>,
    /// The reading.
    pub value: Value,
}

/// A label from a bounded set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Name, `[a-z_]+`.
    pub key: &'static str,
    /// Value.
    pub value: &'static str,
}

/// A reading as a plain value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(u64),
    /// A distribution; boxed because it is ten times the size of the others.
    Histogram(Box<HistogramReading>),
}

/// What can be read into a [`Value`].
pub(crate) trait Instrument {
    fn value(&self) -> Value;
}

impl Instrument for Counter {
    fn value(&self) -> Value {
        Value::Counter(self.get())
    }
}

impl Instrument for Gauge {
    fn value(&self) -> Value {
        Value::Gauge(self.get())
    }
}

impl Instrument for Histogram {
    fn value(&self) -> Value {
        Value::Histogram(Box::new(self.read()))
    }
}

/// Writes a domain's struct, its constructor and `read_into`.
///
/// A line is `/// help` `field: Type::constructor => "family"`, with `["label" = "value"] "family's help"`
/// after it where several fields share a family.
macro_rules! domain {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                #[doc = $help:literal]
                $field:ident: $kind:ident::$constructor:ident => $family:literal
                    $([$key:literal = $value:literal] $family_help:literal)?,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name {
            $(#[doc = $help] pub $field: $crate::instrument::$kind,)*
        }

        impl $name {
            /// Every field at zero.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "instruments are made once, by ShardMetrics")]
            pub const fn new() -> Self {
                Self { $($field: $crate::instrument::$kind::$constructor(),)* }
            }

            /// Appends a sample for each field.
            pub(crate) fn read_into(&self, samples: &mut Vec<$crate::family::Sample>) {
                $(
                    #[allow(unused_mut, unused_assignments, reason = "a field may have no label")]
                    {
                        let mut help: &'static str = $help;
                        let mut label = None;
                        $(
                            help = $family_help;
                            label = Some($crate::family::Label { key: $key, value: $value });
                        )?
                        samples.push($crate::family::Sample {
                            family: $family,
                            help,
                            label,
                            value: $crate::family::Instrument::value(&self.$field),
                        });
                    }
                )*
            }
        }
    };
}

pub(crate) use domain;
