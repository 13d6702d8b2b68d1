//! The sender's bounds, beside those of the messages themselves in [`doorbell_core::limits`].

use doorbell_core::limits::{RESPONSE_HEADER_BLOCK, RESPONSE_READ};
use std::time::Duration;

/// Bytes of a body that are read where so many are kept.
pub(super) fn read(keep: usize) -> usize {
    keep.max(RESPONSE_READ)
}
/// Raw bytes that one exchange may read where so many bytes of the body are kept: headers, body, and as much again as the
/// headers for framing and 1xx responses.
pub(super) fn exchange(keep: usize) -> usize {
    RESPONSE_HEADER_BLOCK.saturating_add(read(keep)).saturating_add(RESPONSE_HEADER_BLOCK)
}
/// Raw bytes that a TLS handshake may read; real certificate chains have 2 to 10 KiB.
pub(super) const HANDSHAKE: usize = 64 << 10;
/// Size to which the buffers of an HTTP/1.1 connection may grow: a whole header block.
pub(super) const BUFFER: usize = RESPONSE_HEADER_BLOCK;
/// Exchanges at once on one HTTP/2 connection.
pub(super) const STREAMS: usize = 100;
/// HTTP/2 connections to one receiver that are shared; more are used once.
pub(super) const SHARED_PER_KEY: usize = 8;
/// Addresses of one name that are tried.
pub(super) const TRIED: usize = 8;
/// How long an address may take before the next one is tried beside it (RFC 8305, section 5).
pub(super) const HEAD_START: Duration = Duration::from_millis(250);

/// Idle connections to one receiver that are kept.
pub(super) const IDLE_PER_KEY: usize = 128;
/// Idle or shared connections that are kept in all.
pub(super) const IDLE: usize = 512;
/// How long an idle connection is kept. Most servers close theirs after 60 s or more.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(30);
