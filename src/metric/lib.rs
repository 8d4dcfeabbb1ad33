//! Counters, gauges and histograms that one core owns.
