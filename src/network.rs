//! stub
mod muxer;
mod policy;
mod tls;
mod transport;
#[cfg(test)]
mod testing;
