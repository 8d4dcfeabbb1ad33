//! The broker: reads configuration, plans the cores, starts and stops them; and the command line around it.
//!
//! [`broker::Broker::start`] starts a broker in this process; [`command_line::run`] is the `kolk` command.

pub mod command_line;

mod quickstart;

pub mod broker;

mod shard_life;

pub mod effective_config;

pub mod settings_table;

pub mod setting;

pub mod logging;

pub mod config;

pub mod core_plan;
