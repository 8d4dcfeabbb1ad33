//! `kolk completions`: what a shell needs to complete commands and options.

use std::io;

use clap_complete::Shell;

use crate::error::CtlError;

const EXAMPLES: &str = "\
Examples:
  kolk completions bash > /etc/bash_completion.d/kolk
  kolk completions zsh  > ~/.zfunc/_kolk
  kolk completions fish > ~/.config/fish/completions/kolk.fish";

/// Arguments of `kolk completions`.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Runs the command; `cli` is the root's parser.
pub(crate) fn run(args: Args, mut cli: clap::Command) -> Result<(), CtlError> {
    let name = cli.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, name, &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script).map_err(CtlError::output)
}
