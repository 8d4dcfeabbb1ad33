//! What a command needs to talk to brokers: a runtime and a client.

mod outage;

use std::time::Duration;

use indicatif::ProgressBar;
use kolk_client::admin::Admin;
use kolk_client::client::Client;
use kolk_client::error::ClientError;
use kolk_client::settings::ClientSettings;
use kolk_client::settings::contact::Contact;
use kolk_model::offset::Offset;

use crate::error::CtlError;
use crate::global::Global;

use outage::Watch;

/// How long a command goes on trying before it says that no broker answers. Short: somebody waits.
const RETRY_TIMEOUT: Duration = Duration::from_secs(1);
/// More threads do not make a command faster.
const THREADS_MAX: usize = 4;

/// A runtime and a client.
pub(crate) struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
    contact: Contact,
}

impl Session {
    pub(crate) fn open(global: &Global) -> Result<Self, CtlError> {
        Self::to(&global.brokers)
    }

    /// A session with these brokers.
    pub(crate) fn to(brokers: &str) -> Result<Self, CtlError> {
        let mut settings = ClientSettings::new(brokers)?;
        "kolk".clone_into(&mut settings.client_id);
        settings.retry_timeout = RETRY_TIMEOUT;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.min(THREADS_MAX))
            .enable_all()
            .build()
            .map_err(|source| CtlError::Stream { what: "starting threads", source })?;
        let contact = settings.contact.clone();
        Ok(Self { runtime, client: Client::with_settings(settings), contact })
    }

    /// Runs a future on the calling thread, which it may block: the client's tasks have threads of their own.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn admin(&self) -> Admin {
        self.client.admin()
    }

    /// Says on standard error when no broker can be reached, until what is returned is dropped. Must be called within
    /// [`Session::run`].
    pub(crate) fn watch(&self, global: &Global, bar: &ProgressBar) -> Watch {
        Watch::start(self.contact.clone(), global.clone(), bar.clone())
    }

    /// Why a call failed. What took too long because no broker could be reached did not just take long.
    pub(crate) fn failure(&self, error: ClientError) -> CtlError {
        let took_long = matches!(error, ClientError::TimedOut { .. });
        match self.contact.lost().filter(|_| took_long) {
            Some(lost) => CtlError::unreachable(lost.error),
            None => error.into(),
        }
    }
}

/// An offset that may be unknown, as a number.
pub(crate) fn number(offset: Option<Offset>) -> Option<u64> {
    offset.map(Offset::get)
}

/// `NAME=VALUE`, as clap parses it.
pub(crate) fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not NAME=VALUE")),
    }
}
