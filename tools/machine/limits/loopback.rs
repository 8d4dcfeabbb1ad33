//! The loopback: how much one TCP stream carries, and how long there and back takes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use kolk_driver::clock::{float, watch_until};

use crate::cores::pin;
use crate::error::{MachineError, Outcome};
use crate::latency::{Percentiles, Times};

const WRITE_BYTES: usize = 256 << 10;
const PING_BYTES: usize = 128;
/// Time between two paced echoes: the pace of the `messaging` workload.
const PACE: Duration = Duration::from_millis(2);

/// What the loopback does.
pub(super) struct Loopback {
    pub(super) bytes_per_second: f64,
    pub(super) ping_pong: Percentiles,
    pub(super) paced_echo: Percentiles,
}

/// From the calling thread to one that is kept on these cores, if any are named.
pub(super) fn measure(time: Duration, peer: Option<&[usize]>) -> Outcome<Loopback> {
    let failed = MachineError::Loopback;
    Ok(Loopback {
        bytes_per_second: bulk(time, peer).map_err(failed)?,
        ping_pong: echoes(time, peer, None).map_err(failed)?,
        paced_echo: echoes(time, peer, Some(PACE)).map_err(failed)?,
    })
}

/// Two ends of a connection.
pub(super) fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok((one, other))
}

/// Bytes a second, counted where they arrive.
fn bulk(time: Duration, peer: Option<&[usize]>) -> std::io::Result<f64> {
    let (mut from, mut to) = connection()?;
    std::thread::scope(|scope| {
        let received = scope.spawn(move || -> std::io::Result<f64> {
            if let Some(cores) = peer {
                pin(cores);
            }
            let mut buffer = vec![0; WRITE_BYTES];
            let (begin, mut bytes) = (Instant::now(), 0);
            loop {
                match to.read(&mut buffer)? {
                    0 => return Ok(float(bytes) / begin.elapsed().as_secs_f64()),
                    count => bytes += count as u64,
                }
            }
        });
        let buffer = vec![1; WRITE_BYTES];
        let begin = Instant::now();
        while begin.elapsed() < time {
            from.write_all(&buffer)?;
        }
        drop(from);
        received.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
    })
}

/// There and back, one after the other; with a pace each waits until it is due and counts from then on.
fn echoes(
    time: Duration,
    peer: Option<&[usize]>,
    pace: Option<Duration>,
) -> std::io::Result<Percentiles> {
    let (mut one, mut other) = connection()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(cores) = peer {
                pin(cores);
            }
            let mut bytes = [0; PING_BYTES];
            // The end of the connection ends it.
            while other.read_exact(&mut bytes).and_then(|()| other.write_all(&bytes)).is_ok() {}
        });
        let mut times = Times::new().map_err(std::io::Error::other)?;
        let (begin, mut bytes) = (Instant::now(), [1; PING_BYTES]);
        let mut due = begin;
        while begin.elapsed() < time {
            if let Some(pace) = pace {
                due += pace;
                watch_until(due);
            }
            let ping = if pace.is_some() { due } else { Instant::now() };
            one.write_all(&bytes)?;
            one.read_exact(&mut bytes)?;
            times.record(ping.elapsed());
        }
        drop(one);
        Ok(times.summary())
    })
}
