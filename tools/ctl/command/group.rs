//! `kolk group`: looking at groups of consumers, moving them, deleting them.

mod describe;
mod reset;

use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_model::error::ErrorCode;
use serde::Serialize;

use crate::answer::{Answer, print, table};
use crate::command::several::Several;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::session::Session;

use describe::Described;

/// The commands of `kolk group`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List groups.
    #[command(
        after_help = "Examples:\n  kolk group list\n  kolk group list --json -b broker-1:9640"
    )]
    List,
    /// Show members of groups, how far they have read, and how far behind they are.
    #[command(
        after_help = "Examples:\n  kolk group describe billing\n  kolk group describe billing --json"
    )]
    Describe(DescribeArgs),
    /// Delete groups that have no members, with their committed offsets.
    #[command(
        after_help = "Examples:\n  kolk group delete billing\n  kolk group delete old older --if-exists"
    )]
    Delete(DeleteArgs),
    /// Set where a group without members goes on. A group that does not exist comes into being.
    #[command(after_help = reset::EXAMPLES)]
    Reset(reset::Args),
}

/// Arguments of `kolk group describe`.
#[derive(Clone, Debug, clap::Args)]
pub struct DescribeArgs {
    /// Ids.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

/// Arguments of `kolk group delete`.
#[derive(Clone, Debug, clap::Args)]
pub struct DeleteArgs {
    /// Ids.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// A group that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
}

/// Runs a command.
pub(crate) fn run(command: &Command, global: &Global) -> Result<Exit, CtlError> {
    let session = Session::open(global)?;
    let admin = session.admin();
    session.run(async {
        match command {
            Command::List => print(global, &list(&admin).await?)?,
            Command::Describe(args) => {
                let group = async |id: &str| describe::group(&admin, id).await.map(Some);
                let described = Several::each(&args.groups, group).await;
                return described.print(global, |groups| Described { groups });
            }
            Command::Delete(args) => {
                return delete(&admin, args).await.print(global, |deleted| Deleted { deleted });
            }
            Command::Reset(args) => print(global, &reset::reset(&admin, args).await?)?,
        }
        Ok(Exit::Ok)
    })
}

#[derive(Serialize)]
struct Listed {
    groups: Vec<ListedGroup>,
}

#[derive(Serialize)]
struct ListedGroup {
    group: String,
    kind: String,
    state: String,
    protocol_type: String,
}

impl Answer for Listed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.groups.is_empty() {
            return writeln!(out, "no groups; join one with: kolk consume TOPIC --group NAME");
        }
        let mut rows = vec![["GROUP", "STATE", "KIND", "MEMBERS ARE"].map(str::to_owned).to_vec()];
        for one in &self.groups {
            let cells = [&one.group, &one.state, &one.kind, &one.protocol_type];
            rows.push(cells.map(String::clone).to_vec());
        }
        table(out, &rows)
    }
}

async fn list(admin: &Admin) -> Result<Listed, CtlError> {
    let groups = admin.list_groups().await?.into_iter().map(|group| ListedGroup {
        group: group.group,
        kind: group.kind,
        state: group.state,
        protocol_type: group.protocol_type,
    });
    Ok(Listed { groups: groups.collect() })
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

impl Answer for Deleted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.deleted.iter().try_for_each(|group| writeln!(out, "deleted {group}"))
    }
}

async fn delete(admin: &Admin, args: &DeleteArgs) -> Several<String> {
    Several::each(&args.groups, async |group: &str| match admin.delete_group(group).await {
        Ok(()) => Ok(Some(group.to_owned())),
        Err(error) if args.if_exists && error.code() == Some(ErrorCode::GroupIdNotFound) => {
            Ok(None)
        }
        Err(error) => Err(CtlError::of_group(group, error)),
    })
    .await
}
