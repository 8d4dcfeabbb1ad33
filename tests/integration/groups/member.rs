//! A native member of a group with a runtime of its own, so that it can be killed: without a word to the broker.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kolk_client::client::Client;
use kolk_client::consumer::Position;
use kolk_client::consumer::group::GroupConsumer;
use kolk_client::consumer::group::settings::GroupSettings;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::broker::Place;

/// The member and the numbers that it has read.
pub(crate) struct GroupMember {
    runtime: Runtime,
    seen: Arc<Mutex<BTreeSet<u32>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl GroupMember {
    /// Starts a member that reads from the beginning.
    pub(crate) fn join(place: &Place, group: &str, topic: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads are left");
        let mut settings = GroupSettings::new(group);
        settings.start = Position::Beginning;
        settings.session_timeout = Duration::from_secs(3);
        settings.heartbeat_interval = Duration::from_millis(300);
        settings.auto_commit_interval = Some(Duration::from_millis(200));
        let client = Client::new(&place.address()).expect("an address");
        let seen = Arc::<Mutex<BTreeSet<u32>>>::default();
        let (stop, stopped) = oneshot::channel();
        let (topic, found) = (topic.to_owned(), Arc::clone(&seen));
        let task = runtime.spawn(async move {
            let mut consumer = client.group_consumer(settings).expect("settings in range");
            consumer.subscribe(&[&topic]).expect("a topic's name");
            tokio::select! {
                () = read(&mut consumer, &found) => {}
                _ = stopped => consumer.close().await.expect("the broker runs"),
            }
        });
        Self { runtime, seen, stop, task }
    }

    /// The numbers read so far.
    pub(crate) fn seen(&self) -> BTreeSet<u32> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the member as `kill -9` would; gives what it had read.
    pub(crate) fn kill(self) -> BTreeSet<u32> {
        let Self { runtime, seen, .. } = self;
        runtime.shutdown_timeout(Duration::from_secs(5));
        seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves the group, with everything committed.
    pub(crate) fn close(self) {
        let Self { runtime, stop, task, .. } = self;
        stop.send(()).expect("the member runs");
        runtime.block_on(task).expect("the member does not fail");
    }
}

async fn read(consumer: &mut GroupConsumer, seen: &Mutex<BTreeSet<u32>>) {
    loop {
        let fetched = consumer.next_records().await.expect("the group takes the member");
        for record in &fetched {
            let value = record.expect("whole records").value.expect("a value");
            let text = std::str::from_utf8(value).expect("a number is text");
            let number = text.parse().expect("a number");
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        }
    }
}
