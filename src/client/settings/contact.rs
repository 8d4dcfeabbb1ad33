//! Whether brokers can be reached at the moment. Apart because every attempt to connect is noted here, and whoever waits for one
//! may ask.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ClientError;

#[allow(clippy::disallowed_types, reason = "connections of any thread are noted")]
type Mutex<T> = std::sync::Mutex<T>;

/// What became of the attempts to connect of every producer, consumer and admin whose settings hold a clone of it. All of them
/// try again in silence; with this a program can say that they do.
///
/// ```
/// use kolk_client::settings::ClientSettings;
///
/// let settings = ClientSettings::new("localhost:9640")?;
/// let contact = settings.contact.clone();
/// // … make a client of the settings and, while it waits:
/// if let Some(lost) = contact.lost() {
///     println!("no broker for {:?}: {}", lost.time, lost.error);
/// }
/// # Ok::<(), kolk_client::error::ClientError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Contact {
    missed: Arc<Mutex<Option<Missed>>>,
}

#[derive(Debug)]
struct Missed {
    since: Instant,
    error: ClientError,
}

/// No attempt to connect has succeeded for a while.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lost {
    /// How long ago the first of the attempts failed.
    pub time: Duration,
    /// Why the last of them failed.
    pub error: ClientError,
}

impl Contact {
    /// An attempt to connect succeeded.
    pub(crate) fn made(&self) {
        *self.missed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An attempt to connect failed.
    pub(crate) fn missed(&self, error: &ClientError) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = missed.as_ref().map_or_else(Instant::now, |missed| missed.since);
        *missed = Some(Missed { since, error: error.clone() });
    }

    /// How long every attempt to connect has failed; `None` if the last one succeeded or there was none.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = missed.as_ref()?;
        Some(Lost { time: missed.since.elapsed(), error: missed.error.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeBroker;

    #[tokio::test]
    async fn an_outage_lasts_from_the_first_failure_to_the_next_success() {
        let contact = Contact::default();
        assert!(contact.lost().is_none());
        contact.missed(&ClientError::Closed { what: "first" });
        tokio::time::sleep(Duration::from_millis(2)).await;
        contact.missed(&ClientError::Closed { what: "second" });
        let lost = contact.clone().lost().unwrap();
        assert!(lost.time >= Duration::from_millis(2), "{:?}", lost.time);
        assert_eq!(lost.error.to_string(), "second");
        contact.made();
        assert!(contact.lost().is_none());
    }

    #[tokio::test]
    async fn a_client_notes_that_its_broker_went_and_came_back() {
        let broker = FakeBroker::start(1).await;
        let mut settings = broker.settings();
        settings.retry_timeout = Duration::from_millis(20);
        let contact = settings.contact.clone();
        let admin = crate::client::Client::with_settings(settings).admin();
        broker.with(|state| state.down = true);
        assert!(admin.list_topics().await.is_err());
        assert!(contact.lost().is_some());
        broker.with(|state| state.down = false);
        assert!(admin.list_topics().await.is_ok());
        assert!(contact.lost().is_none());
    }
}
