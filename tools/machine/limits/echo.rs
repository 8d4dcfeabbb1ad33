//! How long there and back takes where a shard's own loop answers: what an acknowledgement that waits for no disk cannot go
//! below, whatever a broker does between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use kolk_io::door::{Listener, Net, Stream};
use kolk_io::error::IoError;
use kolk_io::net::{BoundSocket, bind};
use kolk_io::uring::shard::{ShardSpec, spawn_shard};
use kolk_io::uring::uring_io::UringIo;

use crate::cores;
use crate::error::{MachineError, Outcome};
use crate::latency::{Percentiles, Times};

/// What is asked, and from where.
#[derive(Clone, Copy, Debug)]
pub struct EchoPlan<'a> {
    /// The core that answers.
    pub broker_core: Option<usize>,
    /// The cores that ask.
    pub load_cores: &'a [usize],
    /// Bytes there, and back.
    pub frame_bytes: usize,
    /// Time before what counts.
    pub warmup: Duration,
    /// Time that counts.
    pub time: Duration,
}

const READY_WAIT: Duration = Duration::from_secs(10);

/// Asks a loop that is set up as a broker's shard, from a blocking socket as the load generator's, one frame at a time.
pub fn measure(plan: &EchoPlan<'_>) -> Outcome<Percentiles> {
    let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_address();
    let spec = ShardSpec { core: plan.broker_core, ..ShardSpec::new("kolk-echo") };
    let frame_bytes = plan.frame_bytes;
    let shard = spawn_shard(spec, move |io| echo(io, socket, frame_bytes))?;
    let shard = shard.wait_ready(READY_WAIT)?;
    let asked = std::thread::scope(|scope| {
        let ask = || {
            cores::pin(plan.load_cores);
            ask(address, plan)
        };
        scope.spawn(ask).join().unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
    });
    // A refusal on that side closed the socket, and is the better reason.
    shard.join()??;
    Ok(asked.map_err(MachineError::Loopback)?.summary())
}

/// Sends back what comes, until nothing comes any more.
async fn echo(io: UringIo, socket: BoundSocket, frame_bytes: usize) -> Result<(), IoError> {
    let (stream, _) = io.listen(socket)?.accept().await?;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(frame_bytes);
        let (received, count) = stream.recv(buffer, frame_bytes).await;
        buffer = received;
        if count? == 0 {
            return Ok(());
        }
        let mut rest = buffer.split().freeze();
        while !rest.is_empty() {
            let (_, sent) = stream.send(vec![rest.clone()]).await;
            rest = rest.split_off(sent?.min(rest.len()));
        }
    }
}

fn ask(address: SocketAddr, plan: &EchoPlan<'_>) -> std::io::Result<Times> {
    let begin = Instant::now();
    let mut stream = loop {
        // The loop is ready a moment before it listens.
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) if begin.elapsed() > READY_WAIT => return Err(error),
            Err(_) => std::thread::yield_now(),
        }
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READY_WAIT))?;
    let mut frame = vec![7; plan.frame_bytes];
    let mut times = Times::new().map_err(std::io::Error::other)?;
    let begin = Instant::now();
    while begin.elapsed() < plan.warmup + plan.time {
        let one = Instant::now();
        stream.write_all(&frame)?;
        stream.read_exact(&mut frame)?;
        if begin.elapsed() > plan.warmup {
            times.record(one.elapsed());
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_size_come_back() {
        let cores = cores::cores();
        for frame_bytes in [1, 350, 1 << 20] {
            let plan = EchoPlan {
                broker_core: cores.first().copied(),
                load_cores: &cores,
                frame_bytes,
                warmup: Duration::from_millis(5),
                time: Duration::from_millis(50),
            };
            let times = measure(&plan).unwrap();
            assert!(times.count > 0 && times.p50_ns > 1_000, "{frame_bytes}: {times}");
        }
    }
}
