//! HTTP/1.x for probes and scrapes: request heads read from bytes, replies written to bytes. Pure. Written by hand because this is
//! all that is needed: GET and HEAD, no body is read, no field decides more than the connection's end.

pub mod response;

pub mod request;
