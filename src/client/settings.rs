//! Where the brokers are and how patiently they are asked. Apart because producer, consumer and admin share
//! it.

pub mod contact;

use std::sync::Arc;
use std::time::Duration;

use self::contact::Contact;
use crate::error::ClientError;

/// How a client reaches its brokers.
///
/// ```
/// use kolk_client::settings::ClientSettings;
///
/// let mut settings = ClientSettings::new("broker-1:9640,broker-2:9640")?;
/// settings.client_id = "billing".to_owned();
/// # Ok::<(), kolk_client::error::ClientError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSettings {
    /// Addresses to begin with; every other is learned from metadata.
    pub bootstrap: Vec<Arc<str>>,
    /// The client's name for itself, at most 256 bytes. Default: `kolk-client`.
    pub client_id: String,
    /// How long a connection may take to come about. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long a request may take, beyond the time that it asks the broker to wait. Default: 30 s.
    pub request_timeout: Duration,
    /// How long admin calls and look-ups go on trying. Default: 30 s.
    pub retry_timeout: Duration,
    /// The first pause before a retry; it doubles from one to the next. Default: 50 ms.
    pub backoff_min: Duration,
    /// The longest pause. Default: 1 s.
    pub backoff_max: Duration,
    /// The largest age of what is known about topics. Default: 5 min.
    pub metadata_age_max: Duration,
    /// Notes whether brokers can be reached; keep a clone to ask it. Default: one of its own.
    pub contact: Contact,
}

impl ClientSettings {
    /// The defaults with `brokers`, a list `host:port,host:port`.
    ///
    /// # Errors
    /// [`ClientError::Address`] for anything else.
    pub fn new(brokers: &str) -> Result<Self, ClientError> {
        Ok(Self {
            bootstrap: parse_addresses(brokers)?,
            client_id: "kolk-client".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(30),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            metadata_age_max: Duration::from_secs(300),
            contact: Contact::default(),
        })
    }
}

/// Splits a list of addresses; at least one, each with host and port.
fn parse_addresses(brokers: &str) -> Result<Vec<Arc<str>>, ClientError> {
    let parse = |text: &str| {
        let refused = || ClientError::Address { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        // An IPv6 address has colons of its own and must be in brackets.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = !host.contains([':', '[', ']', ' ', '/']);
        let whole = bare.map_or(plain, |bare| bare.parse::<std::net::Ipv6Addr>().is_ok());
        match port.parse::<u16>() {
            Ok(1..) if whole && !host.is_empty() => Ok(Arc::from(text)),
            _ => Err(refused()),
        }
    };
    brokers.split(',').map(str::trim).map(parse).collect()
}

/// An address of a host and a port; an IPv6 host gets its brackets.
pub(crate) fn join_address(host: &str, port: u16) -> Arc<str> {
    if host.contains(':') && !host.starts_with('[') {
        Arc::from(format!("[{host}]:{port}"))
    } else {
        Arc::from(format!("{host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_addresses_are_split() {
        for (text, expected) in [
            ("localhost:9640", &["localhost:9640"][..]),
            ("a:1, b:2", &["a:1", "b:2"]),
            ("[::1]:9640,127.0.0.1:9640", &["[::1]:9640", "127.0.0.1:9640"]),
        ] {
            let settings = ClientSettings::new(text).unwrap();
            let found: Vec<_> = settings.bootstrap.iter().map(AsRef::as_ref).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "localhost", ":9640", "a:0", "a:65536", "a:b", "::1:9640", "a:1,", "http://a:1"]
        {
            let refused = ClientSettings::new(text).unwrap_err();
            assert!(matches!(refused, ClientError::Address { .. }), "{text}: {refused}");
        }
    }

    #[test]
    fn hosts_join_their_ports() {
        assert_eq!(&*join_address("broker", 1), "broker:1");
        assert_eq!(&*join_address("::1", 2), "[::1]:2");
    }
}
