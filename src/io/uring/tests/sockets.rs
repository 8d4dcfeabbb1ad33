//! Sockets against the real kernel: one side ours, the other the standard library's.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{RUNTIMES, spec};
use crate::door::{Io, Listener, Net, Stream};
use crate::error::{IoError, Op};
use crate::net::{BoundSocket, BufferBytes, bind};
use crate::uring::shard::{Runtime, spawn_shard};
use crate::uring::uring_io::UringIo;

fn bound() -> (BoundSocket, SocketAddr) {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_address();
    // Listens from now on, so that no client comes too early.
    drop(socket.try_clone().unwrap().into_listening().unwrap());
    (socket, address)
}

/// Runs our side on an executor of each runtime, and the other side on this thread.
fn against<F: Future<Output = ()> + 'static>(
    ours: impl FnOnce(UringIo, BoundSocket) -> F + Clone + Send + 'static,
    theirs: impl Fn(SocketAddr),
) {
    for runtime in RUNTIMES {
        let ((socket, address), ours) = (bound(), ours.clone());
        let shard = spawn_shard(spec(runtime), move |io| ours(io, socket)).unwrap();
        let shard = shard.wait_ready(Duration::from_secs(20)).unwrap();
        theirs(address);
        shard.join().unwrap();
    }
}

async fn receive_all<S: Stream>(stream: &S) -> BytesMut {
    let mut all = BytesMut::with_capacity(1 << 16);
    loop {
        all.reserve(1 << 16);
        let (buffer, received) = stream.recv(all, 1 << 16).await;
        all = buffer;
        if received.unwrap() == 0 {
            return all;
        }
    }
}

async fn send_all<S: Stream>(stream: &S, mut parts: Vec<Bytes>) {
    while !parts.is_empty() {
        let (mut left, sent) = stream.send(parts).await;
        let mut sent = sent.unwrap();
        left.retain_mut(|part| {
            let cut = sent.min(part.len());
            let _sent = part.split_to(cut);
            sent -= cut;
            !part.is_empty()
        });
        parts = left;
    }
}

/// Lets a future start, whatever it answers.
async fn poll_once(mut future: Pin<&mut impl Future>) {
    let _answer = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

#[test]
fn a_stream_carries_bytes_both_ways() {
    against(
        |io, socket| async move {
            let listener = io.listen(socket).unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip(), listener.local_address().ip());
            assert_eq!(stream.local_address().unwrap(), listener.local_address());
            stream.readable().await.unwrap();
            assert_eq!(&*receive_all(&stream).await, b"ping");
            send_all(&stream, vec!["po".into(), Bytes::new(), "ng".into()]).await;
        },
        |address| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"ping").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "pong");
        },
    );
}

#[test]
fn a_send_larger_than_the_buffers_is_finished_as_the_peer_reads() {
    against(
        |io, socket| async move {
            socket.set_buffer_bytes(BufferBytes { send: Some(16_384), receive: None }).unwrap();
            let (stream, _) = io.listen(socket).unwrap().accept().await.unwrap();
            let whole = Bytes::from(pattern(3 << 20));
            let parts = (0..768).map(|nth| whole.slice(nth * 4096..(nth + 1) * 4096)).collect();
            send_all(&stream, parts).await;
        },
        |address| {
            let mut client = TcpStream::connect(address).unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            assert!(received == pattern(3 << 20));
        },
    );
}

#[test]
fn a_receive_stays_inside_its_limits() {
    against(
        |io, socket| async move {
            let (stream, _) = io.listen(socket).unwrap().accept().await.unwrap();
            let (buffer, received) = stream.recv(BytesMut::with_capacity(100), 3).await;
            assert_eq!((&*buffer, received), (&b"abc"[..], Ok(3)));
            let small = buffer.capacity();
            stream.readable().await.unwrap();
            let (buffer, received) = stream.recv(buffer, 1 << 20).await;
            assert_eq!((&*buffer, received), (&b"abcdef"[..], Ok(3)));
            assert_eq!(buffer.capacity(), small);
        },
        |address| {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"abcdef").unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        },
    );
}

#[test]
fn shutdown_wakes_who_waits_and_drop_closes() {
    against(
        |io, socket| async move {
            let (stream, _) = io.listen(socket).unwrap().accept().await.unwrap();
            let other = stream.clone();
            let inner = io.clone();
            io.spawn(async move {
                inner.yield_now().await;
                other.shutdown();
                other.shutdown();
            });
            stream.readable().await.unwrap();
            let (_, received) = stream.recv(BytesMut::with_capacity(10), 10).await;
            assert_eq!(received, Ok(0));
            let (_, sent) = stream.send(vec!["x".into()]).await;
            let IoError::Os { op, errno, .. } = sent.unwrap_err() else { panic!("sent") };
            assert_eq!((op, errno), (Op::Send, libc::EPIPE));
        },
        |address| {
            let mut client = TcpStream::connect(address).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        },
    );
}

#[test]
fn a_waiter_that_gave_up_does_not_take_the_bytes_of_the_next() {
    let (ready, given_up) = std::sync::mpsc::channel();
    against(
        move |io, socket| async move {
            let listener = io.listen(socket).unwrap();
            // Given up before and after it reached the kernel.
            drop(listener.accept());
            let mut waiting = Box::pin(listener.accept());
            poll_once(waiting.as_mut()).await;
            io.sleep(Duration::from_millis(1)).await;
            drop(waiting);
            // The kernel has forgotten it: a client that comes now is for the next one.
            io.sleep(Duration::from_millis(10)).await;
            ready.send(()).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            for _ in 0..3 {
                let mut waiting = Box::pin(stream.readable());
                poll_once(waiting.as_mut()).await;
                io.yield_now().await;
            }
            send_all(&stream, vec!["go".into()]).await;
            assert_eq!(&*receive_all(&stream).await, b"all");
        },
        |address| {
            given_up.recv().unwrap();
            let mut client = TcpStream::connect(address).unwrap();
            client.read_exact(&mut [0; 2]).unwrap();
            client.write_all(b"all").unwrap();
        },
    );
}

#[test]
fn a_connection_is_handed_to_another_executor() {
    let (socket, address) = bound();
    let (send, receive) = std::sync::mpsc::channel();
    let first = spawn_shard(spec(Runtime::Ring), move |io| async move {
        let (stream, peer) = io.listen(socket).unwrap().accept().await.unwrap();
        let clone = stream.clone();
        let stream = stream.into_socket().err().unwrap();
        drop(clone);
        let socket = stream.into_socket().ok().unwrap();
        send.send((socket, peer)).unwrap();
    });
    let second = spawn_shard(spec(Runtime::Glommio), move |io| async move {
        let (socket, peer) = receive.recv().unwrap();
        send_all(&io.adopt(socket, peer), vec!["from the second".into()]).await;
    });
    let mut answer = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "from the second");
    first.unwrap().join().unwrap();
    second.unwrap().join().unwrap();
}

#[test]
fn two_executors_accept_from_one_door() {
    let (socket, address) = bound();
    let accept_one = |socket: BoundSocket, runtime| {
        spawn_shard(spec(runtime), move |io| async move {
            let listener = io.listen(socket).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            send_all(&stream, vec!["hello".into()]).await;
        })
        .unwrap()
    };
    let other = socket.try_clone().unwrap();
    let shards = [accept_one(other, Runtime::Ring), accept_one(socket, Runtime::Glommio)];
    for _ in &shards {
        // A listener that has served its one connection is closed and wakes no more.
        let mut answer = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
    }
    for shard in shards {
        shard.join().unwrap();
    }
}

#[test]
fn many_idle_connections_wait_in_the_kernel() {
    const CONNECTIONS: usize = 1000;
    against(
        |io, socket| async move {
            let listener = io.listen(socket).unwrap();
            let mut streams = Vec::new();
            for _ in 0..CONNECTIONS {
                let (stream, _) = listener.accept().await.unwrap();
                let waiting = stream.clone();
                io.spawn(async move { waiting.readable().await.unwrap_or(()) });
                streams.push(stream);
            }
            io.yield_now().await;
            let idle = io.ring_counts();
            // All of them are given up with their streams, and the last one still works.
            let last = streams.pop().unwrap();
            streams.iter().for_each(Stream::shutdown);
            send_all(&last, vec!["x".into()]).await;
            // An accept and a poll each, and little else.
            assert!(idle.submissions <= 2 * CONNECTIONS as u64 + 10, "{idle:?}");
        },
        |address| {
            let mut clients: Vec<_> =
                (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
            assert_eq!(clients.last_mut().unwrap().read(&mut [0; 9]).unwrap(), 1);
        },
    );
}
