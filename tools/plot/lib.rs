//! Pictures and figures of measurements: lines over two axes and bars as SVG that needs nothing beside itself, numbers with
//! units that fit. Apart from the load generator because none of it knows what was measured.
//!
//! A module names only modules listed below it.

pub mod bars;
pub mod chart;

pub mod figures;
