//! Listening and connected sockets on the ring.
//!
//! Reads and writes are plain non-blocking calls: data that is there costs one system call. Only
//! when there is none does a poll go to the ring, so an idle connection costs the kernel one poll
//! and us one table entry, and no buffer. What receives and sends on the ring would bring: decision 0005.
#![allow(unsafe_code, reason = "receives into spare capacity and gather sends of shared bytes")]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use io_uring::opcode;
use io_uring::types::Fd;

use super::ring::{Descriptor, Held, HeldMemory, InFlight, Makes, Peer, Ring};
use super::uring_io::UringIo;
use crate::door::{Listener, Net, SEND_PARTS_MAX, Stream};
use crate::error::{IoError, Op};
use crate::net::{self, BoundSocket, RawAddress, last_errno, name_of, set_option};

/// A listening socket of one executor.
pub struct UringListener {
    socket: Rc<Descriptor>,
    ring: Rc<Ring>,
    address: SocketAddr,
}

/// A connection of one executor. Cloning shares it.
#[derive(Clone)]
pub struct UringStream {
    connection: Rc<Connection>,
}

struct Connection {
    socket: Rc<Descriptor>,
    ring: Rc<Ring>,
    /// Polls in the kernel. They outlive the futures that wait, which come and go with each
    /// request; given up with the connection.
    read_poll: RefCell<Option<InFlight>>,
    write_poll: RefCell<Option<InFlight>>,
}

impl Net for UringIo {
    type Listener = UringListener;
    type Stream = UringStream;

    fn listen(&self, socket: BoundSocket) -> Result<UringListener, IoError> {
        let (fd, address) = socket.into_listening()?;
        let socket = Rc::new(Descriptor::new(fd, name_of(address)));
        Ok(UringListener { socket, ring: Rc::clone(self.ring()), address })
    }
}

impl UringIo {
    /// Takes a connected socket over, accepted by another executor for example.
    #[must_use]
    pub fn adopt(&self, socket: OwnedFd, peer: SocketAddr) -> UringStream {
        stream_of(Rc::clone(self.ring()), socket, peer)
    }
}

fn stream_of(ring: Rc<Ring>, socket: OwnedFd, peer: SocketAddr) -> UringStream {
    let socket = Rc::new(Descriptor::new(socket, name_of(peer)));
    let (read_poll, write_poll) = (RefCell::default(), RefCell::default());
    UringStream { connection: Rc::new(Connection { socket, ring, read_poll, write_poll }) }
}

impl Listener for UringListener {
    type Stream = UringStream;

    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self) -> impl Future<Output = Result<(UringStream, SocketAddr), IoError>> + use<> {
        let (ring, socket) = (Rc::clone(&self.ring), Rc::clone(&self.socket));
        async move {
            let (fd, peer) = accept_on(&ring, socket).await?;
            let stream = stream_of(ring, fd, peer);
            // Replies are whole when they are sent: waiting for more only delays them.
            set_option(stream.connection.socket.raw(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
                .map_err(|errno| IoError::from_errno(Op::SocketOption, errno, &name_of(peer)))?;
            Ok((stream, peer))
        }
    }
}

async fn accept_on(
    ring: &Rc<Ring>,
    socket: Rc<Descriptor>,
) -> Result<(OwnedFd, SocketAddr), IoError> {
    let error = |errno| IoError::from_errno(Op::Accept, errno, socket.name());
    loop {
        let address = MaybeUninit::<RawAddress>::zeroed();
        // SAFETY: zeroes are a valid address of no family; it is a plain struct of numbers.
        let address = unsafe { address.assume_init() };
        let length = libc::socklen_t::try_from(size_of::<RawAddress>()).unwrap_or(0);
        let memory = HeldMemory::Accept(Box::new(Peer { address, length }));
        let descriptor = Some(Rc::clone(&socket));
        let held = Held { descriptor, memory, makes: Makes::Descriptor };
        let fd = Fd(socket.raw());
        // SAFETY: the address is in `held`, and so is the listening socket.
        let started = unsafe {
            ring.start(held, |held| {
                let HeldMemory::Accept(peer) = &mut held.memory else {
                    unreachable!("an accept holds the peer's address")
                };
                let address = (&raw mut peer.address).cast();
                opcode::Accept::new(fd, address, &raw mut peer.length)
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            })
        };
        let finished = started.cancelled_on_drop().await.ok_or(IoError::ExecutorGone)?;
        match finished.result() {
            // The connection was gone before it was taken.
            Err(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN) => continue,
            Err(errno) => return Err(error(errno)),
            Ok(_) => {}
        }
        let HeldMemory::Accept(peer) = finished.held.memory else {
            unreachable!("an accept gives the peer's address back")
        };
        let peer = net::from_raw(&peer.address).ok_or_else(|| error(libc::EAFNOSUPPORT))?;
        let fd = finished.outcome.made.ok_or(IoError::ExecutorGone)?;
        return Ok((fd, peer));
    }
}

impl UringStream {
    /// Gives the socket up, to be adopted by another executor, unless a clone is left.
    ///
    /// # Errors
    /// The stream itself, when it is not the only one or an operation is still under way.
    pub fn into_socket(self) -> Result<OwnedFd, Self> {
        self.connection.read_poll.take();
        self.connection.write_poll.take();
        let connection =
            Rc::try_unwrap(self.connection).map_err(|connection| Self { connection })?;
        let Connection { socket, ring, read_poll, write_poll } = connection;
        match Rc::try_unwrap(socket) {
            Ok(socket) => Ok(socket.into_parts().0),
            Err(socket) => {
                let connection = Connection { socket, ring, read_poll, write_poll };
                Err(Self { connection: Rc::new(connection) })
            }
        }
    }
}

impl Stream for UringStream {
    fn readable(&self) -> impl Future<Output = Result<(), IoError>> + use<> {
        let connection = Rc::clone(&self.connection);
        async move { connection.wait(Op::Receive).await }
    }

    fn recv(
        &self,
        into: BytesMut,
        bytes_max: usize,
    ) -> impl Future<Output = (BytesMut, Result<usize, IoError>)> + use<> {
        let connection = Rc::clone(&self.connection);
        async move {
            let mut into = into;
            assert!(bytes_max > 0 && !into.spare_capacity_mut().is_empty(), "no room to receive");
            let received = connection.receive(&mut into, bytes_max).await;
            (into, received)
        }
    }

    fn send(
        &self,
        parts: Vec<Bytes>,
    ) -> impl Future<Output = (Vec<Bytes>, Result<usize, IoError>)> + use<> {
        let connection = Rc::clone(&self.connection);
        async move {
            assert!(parts.len() <= SEND_PARTS_MAX, "{} parts in one send", parts.len());
            let sent = connection.send(&parts).await;
            (parts, sent)
        }
    }

    fn local_address(&self) -> Result<SocketAddr, IoError> {
        let socket = &self.connection.socket;
        net::local_address(socket.raw())
            .map_err(|errno| IoError::from_errno(Op::SocketOption, errno, socket.name()))
    }

    fn shutdown(&self) {
        // SAFETY: a call without pointers on an open descriptor. ENOTCONN means that the peer was
        // first: there is nothing left to end.
        let _ended = unsafe { libc::shutdown(self.connection.socket.raw(), libc::SHUT_RDWR) };
    }
}

impl Connection {
    async fn receive(&self, into: &mut BytesMut, bytes_max: usize) -> Result<usize, IoError> {
        loop {
            match self.receive_now(into, bytes_max) {
                Ok(bytes) => return Ok(bytes),
                Err(libc::EAGAIN) => self.wait(Op::Receive).await?,
                Err(libc::EINTR) => {}
                Err(errno) => return Err(self.error(Op::Receive, errno)),
            }
        }
    }

    fn receive_now(&self, into: &mut BytesMut, bytes_max: usize) -> Result<usize, i32> {
        let spare = into.spare_capacity_mut();
        let room = spare.len().min(bytes_max);
        let start = spare.as_mut_ptr().cast();
        // SAFETY: `room` bytes from `start` are spare capacity of the buffer.
        let got = unsafe { libc::recv(self.socket.raw(), start, room, libc::MSG_DONTWAIT) };
        let got = usize::try_from(got).map_err(|_| last_errno())?;
        // SAFETY: the call has filled the first `got` bytes of the spare capacity.
        unsafe { into.advance_mut(got) };
        Ok(got)
    }

    async fn send(&self, parts: &[Bytes]) -> Result<usize, IoError> {
        loop {
            match self.send_now(parts) {
                Ok(bytes) => return Ok(bytes),
                Err(libc::EAGAIN) => self.wait(Op::Send).await?,
                Err(libc::EINTR) => {}
                Err(errno) => return Err(self.error(Op::Send, errno)),
            }
        }
    }

    fn send_now(&self, parts: &[Bytes]) -> Result<usize, i32> {
        self.ring.with_iovecs(|iovecs| {
            iovecs.extend(parts.iter().map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            }));
            let message = MaybeUninit::<libc::msghdr>::zeroed();
            // SAFETY: zeroes are a valid message: no address, no parts, no control data.
            let mut message = unsafe { message.assume_init() };
            message.msg_iov = iovecs.as_mut_ptr();
            message.msg_iovlen = iovecs.len();
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: the message names `iovecs`, which name `parts`, all alive during the call;
            // a send only reads them.
            let sent = unsafe { libc::sendmsg(self.socket.raw(), &raw const message, flags) };
            usize::try_from(sent).map_err(|_| last_errno())
        })
    }

    /// Waits until the socket can be read or written, or has failed.
    async fn wait(&self, op: Op) -> Result<(), IoError> {
        let revents = poll_fn(|cx| self.poll_ready(op, cx)).await?;
        // What exactly has happened (data, end, error) is the next call's to say.
        revents.map(drop).map_err(|errno| self.error(op, errno))
    }

    fn poll_ready(&self, op: Op, cx: &mut Context<'_>) -> Poll<Result<Result<u32, i32>, IoError>> {
        let (poll, events) = match op {
            Op::Send => (&self.write_poll, libc::POLLOUT),
            _ => (&self.read_poll, libc::POLLIN | libc::POLLRDHUP),
        };
        let mut poll = poll.borrow_mut();
        let armed = poll.get_or_insert_with(|| self.arm(events));
        let Poll::Ready(finished) = Pin::new(armed).poll(cx) else { return Poll::Pending };
        *poll = None;
        Poll::Ready(finished.map(|finished| finished.result()).ok_or(IoError::ExecutorGone))
    }

    fn arm(&self, events: libc::c_short) -> InFlight {
        let events = u32::from(events.cast_unsigned());
        let entry = opcode::PollAdd::new(Fd(self.socket.raw()), events).build();
        let held = Held { descriptor: Some(Rc::clone(&self.socket)), ..Held::default() };
        // SAFETY: the socket is held; there is no memory.
        unsafe { self.ring.start(held, |_| entry) }.cancelled_on_drop()
    }

    fn error(&self, op: Op, errno: i32) -> IoError {
        IoError::from_errno(op, errno, self.socket.name())
    }
}
