//! The broker: reads configuration, plans the cores, starts and stops them.

pub mod config_show;

pub mod config_sources;

pub mod settings_table;

mod settings_node;
mod settings_serve;
mod settings_storage;

pub mod setting;

pub mod logging;

pub mod config;

pub mod core_plan;
pub mod memory_plan;
