//! Accepts connections until the stop.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use kolk_io::door::{Listener, Net};

use crate::connections::Connections;
use crate::run::run;
use crate::wire::Wire;

/// Pause after a failed accept: the usual cause is a lack of descriptors, which a loop would not mend.
const FAILED_ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections from `listener` and serves each with a wire of its own, until [`Connections::stop`].
pub async fn accept<N: Net, W: Wire>(
    connections: Connections<N>,
    listener: N::Listener,
    make_wire: impl Fn(&N::Stream, SocketAddr) -> W,
) {
    let io = connections.io().clone();
    loop {
        let accepted = {
            let mut accept = pin!(listener.accept());
            poll_fn(|context| {
                if connections.poll_stopping(context).is_ready() {
                    return Poll::Ready(None);
                }
                accept.as_mut().poll(context).map(Some)
            })
            .await
        };
        match accepted {
            None => return,
            Some(Ok((stream, peer))) => {
                let wire = make_wire(&stream, peer);
                io.spawn(run(connections.clone(), stream, peer, wire));
            }
            Some(Err(error)) => {
                connections.gate().warn(|| tracing::warn!(%error, "connection not accepted"));
                io.sleep(FAILED_ACCEPT_PAUSE).await;
            }
        }
    }
}
