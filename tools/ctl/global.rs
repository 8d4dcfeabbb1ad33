//! What every command takes: where the brokers are, and how to answer.

/// Options of every command. Flatten it into the root's parser.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Brokers to begin with; the others are learned from them.
    #[arg(
        short,
        long,
        global = true,
        env = "KOLK_BROKERS",
        default_value = "127.0.0.1:9640",
        value_name = "HOST:PORT,…",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub brokers: String,

    /// Answer in JSON; see tools/ctl/JSON.md for the keys.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}
