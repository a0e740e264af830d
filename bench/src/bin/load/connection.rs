//! A client that costs next to nothing, because it takes its time from the server it measures: one
//! kept connection, requests that are bytes already, answers of which it reads what it must.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that asks one thing at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer, until the next request.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; 128 * 1024], filled: 0 })
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        loop {
            ensure!(self.filled < self.buffer.len(), "an answer is longer than expected");
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            ensure!(read > 0, "the server closed the connection");
            self.filled += read;
            let Some((body, end)) = extent(&self.buffer[..self.filled])? else { continue };
            if self.filled >= end {
                ensure!(self.filled == end, "more came than the answer");
                let status = std::str::from_utf8(&self.buffer[9..12])?.parse()?;
                return Ok(Answer { status, body: &self.buffer[body..end] });
            }
        }
    }
}

/// Where the body of an answer begins and ends, once its headers are there.
fn extent(answer: &[u8]) -> Result<Option<(usize, usize)>> {
    const END: &[u8] = b"\r\n\r\n";
    const LENGTH: &[u8] = b"content-length: ";
    let Some(end) = answer.windows(END.len()).position(|bytes| bytes == END) else {
        return Ok(None);
    };
    let headers = &answer[..end];
    let length = headers.windows(LENGTH.len()).position(|bytes| bytes == LENGTH);
    let digits = &headers[length.context("an answer without a length")? + LENGTH.len()..];
    let digits = digits.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let length: usize = std::str::from_utf8(digits)?.parse()?;
    Ok(Some((end + END.len(), end + END.len() + length)))
}

/// A request, as bytes.
pub(crate) fn request(
    method: &str,
    host: &str,
    path: &str,
    credential: &str,
    body: &str,
) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
