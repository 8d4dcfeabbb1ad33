//! The way to a group: calls go straight to the shard that owns it. Apart because that shard may change.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_native::reply::Reply;
use kolk_native::reply::group::GroupReply;
use kolk_native::request::Request;
use kolk_native::request::group::GroupCall;

use super::{Cluster, Mutex, unexpected};
use crate::error::ClientError;
use crate::settings::join_address;

/// A group and the address of its owner, once that is known.
pub(crate) struct Coordinator {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) group: String,
    owner: Mutex<Option<Arc<str>>>,
}

impl Coordinator {
    pub(crate) fn new(cluster: Arc<Cluster>, group: String) -> Self {
        Self { cluster, group, owner: Mutex::default() }
    }

    /// Asks once. `wait` is how long the broker may take beyond the usual.
    pub(crate) async fn ask(
        &self,
        call: GroupCall,
        wait: Duration,
    ) -> Result<GroupReply, ClientError> {
        let outcome = self.try_ask(call, wait).await;
        if let Err(error) = &outcome
            && moved(error)
        {
            self.set(None);
        }
        outcome
    }

    async fn try_ask(&self, call: GroupCall, wait: Duration) -> Result<GroupReply, ClientError> {
        let timeout = self.cluster.settings().request_timeout;
        let known = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let address = match known {
            Some(address) => address,
            None => self.find(timeout).await?,
        };
        let connection = self.cluster.connect(&address).await?;
        match connection.call(&Request::Group(call), timeout + wait).await? {
            Reply::Group(reply) => Ok(reply),
            _ => Err(unexpected("a call about a group")),
        }
    }

    async fn find(&self, timeout: Duration) -> Result<Arc<str>, ClientError> {
        let find = Request::Group(GroupCall::Find(self.group.clone()));
        match self.cluster.any().await?.call(&find, timeout).await? {
            Reply::Group(GroupReply::Find(door)) => {
                let address = join_address(&door.host, door.port);
                self.set(Some(Arc::clone(&address)));
                Ok(address)
            }
            _ => Err(unexpected("find group")),
        }
    }

    fn set(&self, owner: Option<Arc<str>>) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = owner;
    }
}

/// Whether the group may have another owner by now.
fn moved(error: &ClientError) -> bool {
    match error.code() {
        None => error.retriable(),
        Some(code) => matches!(
            code,
            ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::ShuttingDown
        ),
    }
}
