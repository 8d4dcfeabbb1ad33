//! The broker: reads configuration, plans the cores, starts and stops them; and the command line around it.
//!
//! [`broker::Broker::start`] starts a broker in this process; [`command_line::run`] is the `kolk` command.

pub mod command_line;

mod quickstart;

pub mod broker;

mod shard_life;

pub mod config_show;
pub mod serve_args;

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
