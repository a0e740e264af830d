//! A server on a bare socket that does, connection by connection, what a test wrote down; then it
//! is gone.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Script(Vec<Vec<Act>>);

/// What becomes of a request.
pub(crate) enum Act {
    /// A status and a body. The connection is kept.
    Answer(u16, String),
    /// The connection is closed, without an answer.
    Close,
}

impl Script {
    pub(crate) fn of(connections: Vec<Vec<Act>>) -> Script {
        Script(connections)
    }

    /// Begins, and says where.
    pub(crate) async fn play(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for acts in self.0 {
                let (socket, _) = listener.accept().await.unwrap();
                serve(socket, acts).await;
            }
        });
        url
    }
}

async fn serve(mut socket: TcpStream, acts: Vec<Act>) {
    for act in acts {
        take_request(&mut socket).await;
        let Act::Answer(status, body) = act else { return };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} \r\ncontent-length: {length}\r\n\r\n{body}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn take_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if socket.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
