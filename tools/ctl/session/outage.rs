//! Says that no broker can be reached, and that one can again. Apart because it looks on while a command waits.

use std::time::Duration;

use indicatif::ProgressBar;
use kolk_client::error::ClientError;
use kolk_client::settings::contact::Contact;
use tokio::task::AbortHandle;

use crate::answer::note;
use crate::global::Global;

/// An outage that is shorter is not worth a word: connections break when a broker is restarted.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How often it is looked whether there is something to say.
const LOOK: Duration = Duration::from_millis(200);

/// Looks on until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    task: AbortHandle,
}

impl Watch {
    /// Begins to look, within a runtime. The bar makes room for what is said.
    pub(super) fn start(contact: Contact, global: Global, bar: ProgressBar) -> Self {
        let look = async move {
            let mut outage = Outage::default();
            loop {
                tokio::time::sleep(LOOK).await;
                let lost = contact.lost();
                let lost = lost.as_ref().map(|lost| (lost.time, &lost.error));
                if let Some(news) = outage.news(lost) {
                    note(&global, &bar, &news);
                }
            }
        };
        Self { task: tokio::spawn(look).abort_handle() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What was said of the outage. Each is told of twice: when it has lasted a while, and when it is over.
#[derive(Debug, Default)]
struct Outage {
    told: bool,
}

impl Outage {
    /// What is to be said now that every attempt to connect has failed for this time, or has not.
    fn news(&mut self, lost: Option<(Duration, &ClientError)>) -> Option<String> {
        match (lost, self.told) {
            (Some((time, error)), false) if time >= TELL_AFTER => {
                self.told = true;
                Some(format!("{}, trying again …", why(error)))
            }
            (None, true) => {
                self.told = false;
                Some("a broker answers again".to_owned())
            }
            _ => None,
        }
    }
}

fn why(error: &ClientError) -> String {
    match error {
        ClientError::Disconnected { address, reason } => {
            format!("no broker at {address}: {reason}")
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_outage_is_told_of_once_and_so_is_its_end() {
        let address = Arc::from("127.0.0.1:9640");
        let reason = Arc::from("refused");
        let error = ClientError::Disconnected { address, reason };
        let mut outage = Outage::default();
        let mut news = |ms: Option<u64>| {
            let lost = ms.map(|ms| (Duration::from_millis(ms), &error));
            outage.news(lost)
        };
        assert_eq!(news(None), None);
        assert_eq!(news(Some(1_900)), None, "a restart takes as long");
        let told = news(Some(2_100));
        assert_eq!(told.as_deref(), Some("no broker at 127.0.0.1:9640: refused, trying again …"));
        assert_eq!(news(Some(9_000)), None);
        assert_eq!(news(None).as_deref(), Some("a broker answers again"));
        assert_eq!(news(None), None);
        assert!(news(Some(3_000)).is_some(), "the next outage is told of, too");
    }
}
