//! Listening sockets before they belong to a shard.
//!
//! Apart from the executors, because ports are bound once, on the thread that starts the broker: a
//! port that is taken stops the start before any shard runs.
#![allow(unsafe_code, reason = "socket calls with structures of this frame")]

use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use crate::error::{IoError, Op};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
pub(crate) const BACKLOG: libc::c_int = 4096;

/// A socket bound to an address that does not listen yet.
#[derive(Debug)]
pub struct BoundSocket {
    fd: OwnedFd,
    address: SocketAddr,
}

/// Sizes of the kernel's buffers of a socket, in bytes. `None` leaves them to the kernel, which
/// adapts them to the connection: right unless memory is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferBytes {
    /// Bytes sent and not yet acknowledged by the peer.
    pub send: Option<u32>,
    /// Bytes received and not yet read.
    pub receive: Option<u32>,
}

/// Binds a TCP socket for connections; port 0 takes a free one.
///
/// The address may still be in TIME_WAIT (SO_REUSEADDR), but not be listened on by anybody else
/// (no SO_REUSEPORT): a second broker is refused. `[::]` takes IPv4 connections as well.
///
/// # Errors
/// [`IoError::Os`] with [`Op::Listen`] and the address: in use, not of this machine, not allowed.
pub fn bind(address: SocketAddr) -> Result<BoundSocket, IoError> {
    let failed = |errno| IoError::from_errno(Op::Listen, errno, &name_of(address));
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a plain call without pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(failed(last_errno()));
    }
    // SAFETY: the descriptor was made above and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1).map_err(failed)?;
    if address.is_ipv6() {
        set_option(fd.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0).map_err(failed)?;
    }
    let (raw, length) = to_raw(address);
    // SAFETY: `raw` is a socket address of this frame with at least `length` bytes.
    if unsafe { libc::bind(fd.as_raw_fd(), (&raw const raw).cast(), length) } != 0 {
        return Err(failed(last_errno()));
    }
    let address = local_address(fd.as_raw_fd()).map_err(failed)?;
    Ok(BoundSocket { fd, address })
}

impl BoundSocket {
    /// Returns the address it is bound to, with the port that the kernel chose.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Returns another handle of the same socket: each shard accepts from the common door.
    ///
    /// # Errors
    /// [`IoError::Os`]: no descriptor left.
    pub fn try_clone(&self) -> Result<Self, IoError> {
        let fd = self.fd.try_clone().map_err(|error| self.error(&error))?;
        Ok(Self { fd, address: self.address })
    }

    /// Sets the buffers of every connection that will be accepted from it.
    ///
    /// # Errors
    /// [`IoError::Os`] with [`Op::SocketOption`].
    pub fn set_buffer_bytes(&self, bytes: BufferBytes) -> Result<(), IoError> {
        let options = [(libc::SO_SNDBUF, bytes.send), (libc::SO_RCVBUF, bytes.receive)];
        for (option, bytes) in options {
            let Some(bytes) = bytes else { continue };
            let value = i32::try_from(bytes).unwrap_or(i32::MAX);
            set_option(self.fd.as_raw_fd(), libc::SOL_SOCKET, option, value).map_err(|errno| {
                IoError::from_errno(Op::SocketOption, errno, &name_of(self.address))
            })?;
        }
        Ok(())
    }

    /// Starts listening and gives the descriptor up.
    pub(crate) fn into_listening(self) -> Result<(OwnedFd, SocketAddr), IoError> {
        // SAFETY: a call without pointers on an open descriptor.
        if unsafe { libc::listen(self.fd.as_raw_fd(), BACKLOG) } != 0 {
            return Err(self.error(&std::io::Error::last_os_error()));
        }
        Ok((self.fd, self.address))
    }

    fn error(&self, error: &std::io::Error) -> IoError {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        IoError::from_errno(Op::Listen, errno, &name_of(self.address))
    }
}

/// A socket address as the kernel writes it, of either family.
pub(crate) type RawAddress = libc::sockaddr_storage;

/// Returns the name that errors give an address.
pub(crate) fn name_of(address: SocketAddr) -> PathBuf {
    address.to_string().into()
}

/// Asks for the address that a socket is bound to.
pub(crate) fn local_address(fd: RawFd) -> Result<SocketAddr, i32> {
    let mut raw = MaybeUninit::<RawAddress>::zeroed();
    let mut length = length_of::<RawAddress>();
    // SAFETY: `raw` has the `length` bytes that the call is told of.
    if unsafe { libc::getsockname(fd, raw.as_mut_ptr().cast(), &raw mut length) } != 0 {
        return Err(last_errno());
    }
    // SAFETY: zeroed before, and a plain struct of numbers.
    from_raw(&unsafe { raw.assume_init() }).ok_or(libc::EAFNOSUPPORT)
}

/// Sets an option whose value is one integer.
pub(crate) fn set_option(fd: RawFd, level: i32, option: i32, value: i32) -> Result<(), i32> {
    let length = length_of::<libc::c_int>();
    // SAFETY: `value` is an integer of this frame, and the call is told its size.
    match unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Reads an address; `None` for a family that is not of the internet. An IPv4 peer of an IPv6
/// socket is shown as the IPv4 address it is.
pub(crate) fn from_raw(raw: &RawAddress) -> Option<SocketAddr> {
    match i32::from(raw.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the storage holds, and it is large enough.
            let v4 = unsafe { &*(&raw const *raw).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *raw).cast::<libc::sockaddr_in6>() };
            let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
            let whole = SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id);
            let v4 = ip.to_ipv4_mapped().map(|v4| SocketAddr::new(IpAddr::V4(v4), port));
            Some(v4.unwrap_or(SocketAddr::V6(whole)))
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "address families are below 256")]
fn to_raw(address: SocketAddr) -> (RawAddress, libc::socklen_t) {
    let mut raw = MaybeUninit::<RawAddress>::zeroed();
    let length = match address {
        SocketAddr::V4(v4) => {
            let filled = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is large and aligned enough for every kind of address.
            unsafe { raw.as_mut_ptr().cast::<libc::sockaddr_in>().write(filled) };
            length_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let filled = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { raw.as_mut_ptr().cast::<libc::sockaddr_in6>().write(filled) };
            length_of::<libc::sockaddr_in6>()
        }
    };
    // SAFETY: zeroed before, and a plain struct of numbers.
    (unsafe { raw.assume_init() }, length)
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

pub(crate) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_kernels_form() {
        for text in ["127.0.0.1:9640", "[::1]:1", "[fe80::1%3]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(from_raw(&to_raw(address).0), Some(address));
        }
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5".parse().unwrap();
        assert_eq!(from_raw(&to_raw(mapped).0), Some("10.0.0.1:5".parse().unwrap()));
    }

    #[test]
    fn a_port_that_is_listened_on_is_refused_by_name() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_address();
        assert_ne!(address.port(), 0);
        let _listening = first.try_clone().unwrap().into_listening().unwrap();
        let error = bind(address).unwrap_err();
        let name = address.to_string();
        assert_eq!(
            error,
            IoError::Os { op: Op::Listen, errno: libc::EADDRINUSE, path: name.into() }
        );
    }

    #[test]
    fn buffer_sizes_are_accepted() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let bytes = BufferBytes { send: Some(1 << 16), receive: Some(1 << 16) };
        socket.set_buffer_bytes(bytes).unwrap();
    }
}
