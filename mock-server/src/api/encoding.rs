//! Compressed bodies, both ways: gzip and zstd.
//!
//! A small compressed body can stand for a very large one, so what comes in is unpacked only as far as
//! a body may be long: memory is bounded whatever was sent. What goes out is packed when the caller
//! takes it and it is long enough to gain by it.

use std::io::{Read, Write};

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use cloudnestle_marketplace::Code;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::problem::Failure;

/// Shorter answers fit into one packet as they are. Answers with a token in them are shorter, too.
const MIN_COMPRESSED_BYTES: u64 = 1024;
/// The largest window a zstd body may ask for (RFC 9659): the decoder must keep as much.
const MAX_ZSTD_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// The ways to compress that the marketplace knows, the better one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Zstd,
    Gzip,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
        }
    }

    /// How a body is compressed, if it is.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Encoding>, Failure> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(name) = given.next() else {
            return Ok(None);
        };
        match name.to_str().map(str::to_ascii_lowercase).as_deref() {
            // Twice compressed is not worth the trouble.
            _ if given.next().is_some() => Err(Code::EncodingUnsupported.into()),
            Ok("identity") => Ok(None),
            Ok("gzip" | "x-gzip") => Ok(Some(Encoding::Gzip)),
            Ok("zstd") => Ok(Some(Encoding::Zstd)),
            _ => Err(Code::EncodingUnsupported.into()),
        }
    }

    /// What was compressed, if it is at most `max` bytes.
    pub(crate) fn unpack(self, packed: &[u8], max: usize) -> Result<Vec<u8>, Failure> {
        let unpacked = match self {
            Encoding::Gzip => ungzip(packed, max),
            Encoding::Zstd => unzstd(packed, max),
        };
        unpacked.map_err(|reason| match reason {
            Unfit::TooLarge => Code::RequestTooLarge.into(),
            Unfit::Damaged => {
                let name = self.name();
                let detail = format!("The body is not {name}, as its Content-Encoding says.");
                Failure::new(Code::RequestInvalid, detail)
            }
        })
    }

    fn pack(self, plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            Encoding::Zstd => Some(compress_to_vec(plain, CompressionLevel::Fastest)),
            Encoding::Gzip => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(plain).ok()?;
                packed.finish().ok()
            }
        }
    }

    /// The best encoding that the caller takes.
    fn accepted(headers: &HeaderMap) -> Option<Encoding> {
        let accepted = headers.get_all(header::ACCEPT_ENCODING);
        let accepted: Vec<_> = accepted.iter().filter_map(|value| value.to_str().ok()).collect();
        let takes = |encoding: Encoding| {
            accepted.iter().flat_map(|value| value.split(',')).any(|one| {
                let (name, weight) = one.split_once(';').unwrap_or((one, ""));
                let is_refused = weight.trim().strip_prefix("q=").is_some_and(is_zero);
                name.trim().eq_ignore_ascii_case(encoding.name()) && !is_refused
            })
        };
        [Encoding::Zstd, Encoding::Gzip].into_iter().find(|encoding| takes(*encoding))
    }
}

fn is_zero(weight: &str) -> bool {
    weight.parse::<f32>().is_ok_and(|weight| weight == 0.0)
}

/// Why a body can't be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    Damaged,
    TooLarge,
}

fn ungzip(packed: &[u8], max: usize) -> Result<Vec<u8>, Unfit> {
    let mut unpacked = Vec::new();
    let mut begin = MultiGzDecoder::new(packed).take(max as u64 + 1);
    begin.read_to_end(&mut unpacked).map_err(|_| Unfit::Damaged)?;
    if unpacked.len() > max { Err(Unfit::TooLarge) } else { Ok(unpacked) }
}

fn unzstd(mut packed: &[u8], max: usize) -> Result<Vec<u8>, Unfit> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_ZSTD_WINDOW_BYTES);
    let mut unpacked = Vec::new();
    while !packed.is_empty() {
        decoder.reset(&mut packed).map_err(|_| Unfit::Damaged)?;
        // It stops after the block (of at most 128 KB) that is one byte too many.
        let enough = BlockDecodingStrategy::UptoBytes(max + 1 - unpacked.len());
        let is_whole = decoder.decode_blocks(&mut packed, enough).map_err(|_| Unfit::Damaged)?;
        unpacked.extend(decoder.collect().unwrap_or_default());
        if !is_whole || unpacked.len() > max {
            return Err(Unfit::TooLarge);
        }
    }
    Ok(unpacked)
}

/// The layer that compresses answers.
pub(super) async fn layer(request: Request, next: Next) -> Response {
    let accepted = Encoding::accepted(request.headers());
    let response = next.run(request).await;
    // What is short is most of what there is.
    let length = response.body().size_hint().exact();
    let gains = length.is_some_and(|length| length >= MIN_COMPRESSED_BYTES);
    // The bytes an entity tag stands for must not change.
    let is_tagged = response.headers().contains_key(header::ETAG);
    if !gains || is_tagged || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let Some(encoding) = accepted else {
        return Response::from_parts(parts, body);
    };
    // Its length is known, so it is in memory already: this neither waits nor fails.
    let plain = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Some(packed) = encoding.pack(&plain) else {
        return Response::from_parts(parts, Body::from(plain));
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    Response::from_parts(parts, Body::from(packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;
    const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Zstd];

    #[test]
    fn what_was_packed_is_unpacked() {
        for encoding in BOTH {
            for length in [0, 1, 1000, MAX] {
                let plain: Vec<u8> = (0..length).map(|n| (n * n / 251) as u8).collect();
                let packed = encoding.pack(&plain).expect("packed");
                assert_eq!(encoding.unpack(&packed, MAX).expect("whole"), plain, "{encoding:?}");
                let twice = [packed.clone(), packed].concat();
                let unpacked = encoding.unpack(&twice, 2 * MAX).expect("two of them");
                assert_eq!(unpacked.len(), 2 * length, "{encoding:?}");
            }
        }
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_a_body_may_be_long() {
        for encoding in BOTH {
            let bomb = encoding.pack(&vec![b' '; 8 * MAX]).expect("packed");
            let code = encoding.unpack(&bomb, MAX).expect_err("too large").code;
            assert_eq!(code, Code::RequestTooLarge);
            let many = encoding.pack(&vec![b' '; MAX / 2]).expect("packed").repeat(3);
            let code = encoding.unpack(&many, MAX).expect_err("too large").code;
            assert_eq!(code, Code::RequestTooLarge);
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        let plain: Vec<u8> = (0..300_u32).flat_map(u32::to_le_bytes).collect();
        for encoding in BOTH {
            let packed = encoding.pack(&plain).expect("packed");
            for end in 1..packed.len() {
                let code = encoding.unpack(&packed[..end], MAX).expect_err("cut").code;
                assert_eq!(code, Code::RequestInvalid, "{encoding:?} cut at {end}");
            }
            for at in 0..packed.len() {
                let mut changed = packed.clone();
                changed[at] ^= 0x55;
                let _ = encoding.unpack(&changed, MAX); // refused or not: it must not panic
            }
        }
        // A window of 2 GB: magic number, descriptor without content size, window descriptor.
        let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        assert!(Encoding::Zstd.unpack(&greedy, MAX).is_err());
    }

    #[test]
    fn the_caller_chooses_by_accept_encoding() {
        let chosen = |value: &'static str| {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(value))];
            Encoding::accepted(&headers.into_iter().collect())
        };
        assert_eq!(chosen("gzip, deflate, br, zstd"), Some(Encoding::Zstd));
        assert_eq!(chosen("GZIP;q=0.5, br"), Some(Encoding::Gzip));
        assert_eq!(chosen("gzip;q=1.0, zstd; q=0"), Some(Encoding::Gzip));
        assert_eq!(chosen("gzip;q=0.000"), None);
        assert_eq!(chosen("br, identity"), None);
        assert_eq!(chosen(""), None);
    }
}
